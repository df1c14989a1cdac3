/**
 * How a host is emptied, seen from the hub.
 *
 * The one idea: what is left is looked at again and again in the rows that hosts' reports keep true; what is asked for meanwhile are ordinary operations,
 * under keys, so that whoever looks again after a crash asks for nothing twice.
 */
import { Context } from "@temporalio/activity";
import { z } from "zod";
import type { Database } from "../../db/connect.ts";
import { drainedMachines, foreignOn, livingOn, type DrainedMachine } from "../../db/drains.ts";
import { findHost } from "../../db/hosts.ts";
import type { OperationRow } from "../../db/operations.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { FaultError, unwrap, type Code, type Result } from "../../domain/errors.ts";
import type { DrainPolicy } from "../../domain/hosts/rules.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import type { DrainActivities, Emptying } from "../../workflows/hosts/drain.ts";
import type { RecordActivities } from "../../workflows/records.ts";
import { askedFor, faultBehind, settledOf, type ByKey } from "./another.ts";
import { Holding } from "./permission.ts";
import { underWay } from "./under-way.ts";

export interface Draining {
  readonly db: Database;
  readonly records: Pick<RecordActivities, "recordSteps">;
  readonly stop: (machineId: string, asked: ByKey) => Promise<Result<Operation>>;
  readonly retire: (machineId: string, asked: ByKey) => Promise<Result<Operation>>;
  readonly cancel: (operationId: string, asked: ByKey) => Promise<Result<Operation>>;
}

const DrainRequest = z.object({ holder: Holding });

export function drainActivities(parts: Draining): DrainActivities {
  const { db } = parts;
  return {
    planDrain: ({ operationId, hostId, machines }) =>
      db.transaction(async (tx) => {
        await underWay(tx, operationId, DrainRequest);
        const { name, draining } = unwrap(await findHost(tx, hostId));
        if (draining !== operationId)
          throw new FaultError({ code: "host_draining", message: `The host ${name} is not closed by this drain.`, subject: name });
        return { host: name, steps: (await drainedMachines(tx, hostId, machines)).map(stepOf) };
      }),
    emptyHost: (ask) => emptyHost(parts, ask),
    lookAtDrained: async ({ hostId }) => ({ left: await livingOn(db, hostId), foreign: await foreignOn(db, hostId) }),
  };
}

const stepOf = ({ name }: Pick<DrainedMachine, "name">): string => `machine: ${name}`;
/** Whoever waits for a machine's end does not notice a second. */
const lookEveryMs = 1_000;

async function emptyHost(parts: Draining, ask: Emptying): Promise<void> {
  const { operationId, hostId, machines, steps, position } = ask;
  const context = Context.current();
  const open = new Set(steps);
  const tell = async (names: readonly string[], state: "running" | "done") => {
    const told = names.map((name) => ({ name, position: position + steps.indexOf(name), state }));
    if (told.length > 0) await parts.records.recordSteps({ operationId, steps: told });
  };
  for (let round = 0; ; round++) {
    const there = await drainedMachines(parts.db, hostId, machines);
    const left = there.filter((machine) => !ask.skip.includes(stepOf(machine)));
    const names = new Set(there.map(stepOf));
    const ended = [...open].filter((name) => !names.has(name));
    for (const name of ended) open.delete(name);
    await tell(ended, "done");
    if (round === 0)
      await tell(
        [...open].filter((name) => !ask.skip.includes(name)),
        "running",
      );
    if (left.length === 0) return;
    if (machines !== "wait") await endAll(parts, { ask, left, policy: machines, key: `${context.info.activityId}/${round}` });
    await context.sleep(lookEveryMs);
  }
}

interface Ending {
  readonly ask: Emptying;
  readonly left: readonly DrainedMachine[];
  readonly policy: Exclude<DrainPolicy, "wait">;
  readonly key: string;
}

/** All at once; one that comes to nothing is told when the others have ended. */
async function endAll(parts: Draining, { ask, left, policy, key }: Ending): Promise<void> {
  const row = await parts.db.transaction((tx) => underWay(tx, ask.operationId, DrainRequest));
  const outcomes = await Promise.allSettled(left.map((machine) => end(parts, policy, machine, askedByDrain(row, machine, policy, key))));
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed) throw failed.reason;
}

/** In the name of whoever drains the host, in the project of the machine: its user may look at what became of it. */
function askedByDrain(
  row: Omit<OperationRow, "input"> & { readonly input: z.infer<typeof DrainRequest> },
  { id, project }: DrainedMachine,
  policy: string,
  round: string,
): ByKey {
  const asked = askedFor({ ...row, holder: row.input.holder }, `drain ${policy}`);
  const actor: Actor = { ...asked.actor, project, isSuperUser: true };
  return { ...asked, actor, idempotency: { ...asked.idempotency, key: `${asked.idempotency.key}/${id}/${round}` } };
}

/** Somebody else works on the machine, its linked clones have to go first, or it has just ended: the next look tells. */
const passing: ReadonlySet<Code> = new Set(["machine_busy", "machine_cloned", "machine_state", "machine_not_found", "operation_cancelled"]);

async function end(parts: Draining, policy: Ending["policy"], machine: DrainedMachine, asked: ByKey): Promise<void> {
  const begun = await parts[policy](machine.id, asked);
  const fault = begun.ok ? faultBehind(await settledOf(parts, begun.value.id, asked)) : begun.fault;
  if (!fault || passing.has(fault.code)) return;
  throw new FaultError({ ...fault, details: { ...fault.details, step: stepOf(machine) } });
}
