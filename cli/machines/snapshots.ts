/** `drover machine snapshot ...`: snapshots live with the machine, so each question to them is an operation too. */
import { z } from "zod";
import { isSettled } from "../../domain/operations/rules.ts";
import type { Snapshot } from "../../domain/machines/schema.ts";
import { Uuid } from "../../domain/ids.ts";
import { FaultError } from "../../domain/errors.ts";
import { withOptions, type Context } from "../context.ts";
import { awaitOperation, tellOutcome, type Awaited } from "../operations/await.ts";
import { seeThrough, waitingOf } from "../operations/start.ts";
import { table } from "../output/table.ts";
import { given } from "../values.ts";
import { SnapshotList } from "../wire.ts";
import { act, requestAction } from "./actions.ts";

const Creating = z.object({ description: z.string().optional() });
const Reverting = z.object({ resume: z.boolean() });
const Deleting = z.object({ children: z.boolean().default(false) });

export async function createSnapshot(context: Context, [machine = "", name = ""]: readonly string[], options: unknown): Promise<number> {
  return act(context, { machine, options, action: { verb: "snapshot-create", name, ...given(Creating, options) } });
}

export async function listSnapshots(context: Context, [machine = ""]: readonly string[], options: unknown): Promise<number> {
  const waiting = waitingOf(options);
  const client = await context.hub();
  const operation = await requestAction(client, machine, { verb: "snapshot-list" }, waiting);
  if (waiting.detach) return seeThrough(context, client, { operation, waiting });
  const awaited = await awaitOperation(context, client, { operationId: operation.id, timeoutMs: waiting.timeout });
  const found = snapshotsOf(awaited);
  if (found === null) return tellOutcome(context, operation.id, awaited, { words: () => "" });
  context.show(found, () => describe(found));
  return 0;
}

export async function revertSnapshot(
  context: Context,
  [machine = "", snapshot = ""]: readonly string[],
  options: unknown,
): Promise<number> {
  const { resume } = given(Reverting, options);
  const snapshotId = await snapshotIdOf(context, machine, snapshot);
  return act(context, { machine, options, action: { verb: "snapshot-revert", snapshotId, resume } });
}

export async function deleteSnapshot(
  context: Context,
  [machine = "", snapshot = ""]: readonly string[],
  options: unknown,
): Promise<number> {
  const { children } = given(Deleting, options);
  const snapshotId = await snapshotIdOf(context, machine, snapshot);
  return act(context, { machine, options, action: { verb: "snapshot-delete", snapshotId, children } });
}

const snapshotsOf = ({ detail }: Awaited): Snapshot[] | null =>
  detail !== null && isSettled(detail.state) && detail.state === "done"
    ? (SnapshotList.safeParse(detail.result).data?.snapshots ?? [])
    : null;

/** A name is looked up first; several of one name are not chosen between. */
async function snapshotIdOf(context: Context, machine: string, nameOrId: string): Promise<string> {
  if (Uuid.safeParse(nameOrId).success) return nameOrId;
  const client = await context.hub();
  const { id } = await requestAction(client, machine, { verb: "snapshot-list" });
  const quiet = withOptions(context, { json: context.json, quiet: true });
  const found = snapshotsOf(await awaitOperation(quiet, client, { operationId: id })) ?? [];
  const [only, ...others] = found.filter(({ name }) => name === nameOrId);
  if (only && others.length === 0) return only.id;
  const message = only
    ? `${machine} has ${others.length + 1} snapshots of the name ${nameOrId}: name one by its id.`
    : `${machine} has no snapshot ${nameOrId}.`;
  throw new FaultError({ code: "snapshot_not_found", message, subject: nameOrId });
}

/** A snapshot stands below the one that it was made from. */
function describe(found: readonly Snapshot[]): string {
  const depth = (snapshot: Snapshot): number => {
    const parent = found.find(({ id }) => id === snapshot.parentId);
    return parent ? depth(parent) + 1 : 0;
  };
  return table(
    found,
    [
      { title: "SNAPSHOT", of: (snapshot) => `${"  ".repeat(depth(snapshot))}${snapshot.name}${snapshot.current ? " *" : ""}` },
      { title: "STATE", of: ({ state }) => state },
      { title: "MADE", of: ({ date }) => date },
      { title: "ID", of: ({ id }) => id },
    ],
    "No snapshots.",
  );
}
