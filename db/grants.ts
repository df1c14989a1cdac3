/**
 * What a transfer may touch, told from the rows of its operation.
 *
 * The one idea: a grant follows from what was asked of the hub, never from what the host says that it needs.
 */
import { and, eq, sql } from "drizzle-orm";
import { z } from "zod";
import { FaultError, unwrap } from "../domain/errors.ts";
import { Sha256, Uuid } from "../domain/ids.ts";
import { isSettled } from "../domain/operations/rules.ts";
import type { Operation } from "../domain/operations/schema.ts";
import type { Database } from "./connect.ts";
import { drawFence, readOperation } from "./operations.ts";
import { imageVersions, machines, operations } from "./schema.ts";

/** Who asks: the host that an operation runs on, or the user whose own computer pushes. */
export type Holder = { readonly hostId: string } | { readonly userId: string };

export interface GrantSubject {
  readonly operation: Operation;
  readonly input: Readonly<Record<string, unknown>>;
  readonly fence: number;
}

/** The operation, if it has not ended and is this holder's; draws a new fence when an attempt begins, else compares the one that is told. */
export async function grantSubject(
  db: Database,
  ask: { operationId: string; holder: Holder; begin: boolean; fence?: number | undefined },
): Promise<GrantSubject> {
  return db.transaction(async (tx) => {
    const { operation, actorId, input, fence } = unwrap(await readOperation(tx, ask.operationId, { lock: ask.begin }));
    const theirs =
      "hostId" in ask.holder ? operation.hostId === ask.holder.hostId : operation.hostId === null && actorId === ask.holder.userId;
    if (!theirs) throw refused(operation.id, "does not run here");
    if (isSettled(operation.state)) throw refused(operation.id, "has ended");
    if (ask.begin) return { operation, input, fence: await drawFence(tx, operation.id) };
    if (ask.fence === undefined || ask.fence === fence) return { operation, input, fence };
    const message = `Attempt ${ask.fence} of operation ${operation.id} was replaced by attempt ${fence}.`;
    throw new FaultError({ code: "fenced", message, subject: operation.id });
  });
}

/** The operation's sealed input, or null when nothing was sealed. */
export async function sealedInput(db: Database, operationId: string): Promise<Uint8Array | null> {
  const [row] = await db.select({ sealed: operations.sealed }).from(operations).where(eq(operations.id, operationId));
  return row?.sealed ?? null;
}

export interface GrantScope {
  readonly storeId: string;
  /** Trees whose list and locations may be read. */
  readonly trees: readonly { digest: string; generation: number }[];
  /** Whether the packs of these trees may be read too, or new ones written. */
  readonly packs: "read" | "write";
}

const PushInput = z.object({ storeId: Uuid, catalogId: z.string() });
const FetchInput = z.object({ imageVersionId: Uuid.optional(), digest: Sha256.optional(), generation: z.int().positive().optional() });

/** Null for operations that move no image. */
export async function grantScope(db: Database, { operation, input }: GrantSubject): Promise<GrantScope | null> {
  if (operation.verb === "push") return pushScope(db, operation, PushInput.parse(input));
  if (operation.verb === "pull" || operation.verb === "provision") return fetchScope(db, operation, FetchInput.parse(input));
  return null;
}

/** A push may compare itself with the versions of its catalog id, and with what the machines of its host were made from. */
async function pushScope(db: Database, operation: Operation, { storeId, catalogId }: z.infer<typeof PushInput>): Promise<GrantScope> {
  const made =
    operation.hostId === null
      ? sql`false`
      : sql`${imageVersions.digest} in (select digest from machines where host_id = ${operation.hostId})`;
  const kin = sql`(${imageVersions.project} = ${operation.project} and ${imageVersions.catalogId} = ${catalogId}) or ${made}`;
  const trees = await db
    .select({ digest: imageVersions.digest, generation: imageVersions.generation })
    .from(imageVersions)
    .where(and(eq(imageVersions.storeId, storeId), sql`(${kin})`));
  return { storeId, trees, packs: "write" };
}

/** The version's tree, and the one that was chosen when the operation began, should the version point elsewhere by now. */
async function fetchScope(db: Database, operation: Operation, input: z.infer<typeof FetchInput>): Promise<GrantScope | null> {
  if (input.imageVersionId === undefined) return null;
  const [version] = await db.select().from(imageVersions).where(eq(imageVersions.id, input.imageVersionId));
  if (!version) return null;
  const { storeId, digest, generation } = version;
  const chosen = await chosenDigests(db, operation, input.digest);
  const older = chosen.filter((other) => other !== digest).map((other) => ({ digest: other, generation: input.generation ?? 1 }));
  return { storeId, trees: [{ digest, generation }, ...older], packs: "read" };
}

async function chosenDigests(db: Database, { machineId }: Operation, digest: string | undefined): Promise<string[]> {
  const [machine] = machineId === null ? [] : await db.select({ digest: machines.digest }).from(machines).where(eq(machines.id, machineId));
  return [digest, machine?.digest].filter((one) => typeof one === "string");
}

const refused = (id: string, why: string) => new FaultError({ code: "grant_refused", message: `The operation ${id} ${why}.`, subject: id });
