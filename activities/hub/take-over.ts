/**
 * Pushes aside whoever holds a machine, and takes the hold.
 *
 * The one idea: a holder is told to cancel and gets time for its undo. Where that cannot come (its host is lost, or the time is over) its operation is
 * settled here; what its workflow does later changes nothing, because it has ended.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Context } from "@temporalio/activity";
import { WorkflowNotFoundError, type Client } from "@temporalio/client";
import type { Database } from "../../db/connect.ts";
import { busy, holdersOf, takeHold, type Holder } from "../../db/holds.ts";
import { isHostLost } from "../../db/hosts.ts";
import { findAnyMachine } from "../../db/machines.ts";
import { moveOperation } from "../../db/operations.ts";
import { settleOperation } from "../../db/settlement.ts";
import { faultRecord } from "../../domain/operations/rules.ts";
import { underWay } from "./under-way.ts";
import { z } from "zod";

export interface Preempting {
  readonly db: Database;
  readonly temporal: Client;
}

/** What a cancelled operation gets for its undo on a live host. */
const undoMs = 60_000;
/** Undo takes seconds; a quarter of one is no wait that anybody notices. */
const pollMs = 250;

export async function takeOver(
  { db, temporal }: Preempting,
  { operationId, machineId }: { operationId: string; machineId: string },
): Promise<void> {
  const context = Context.current();
  const subject = { kind: "machine", subjectId: machineId } as const;
  const told = new Set<string>();
  const until = Date.now() + undoMs;
  for (;;) {
    const blocker = await db.transaction(async (tx) => {
      await underWay(tx, operationId, z.unknown());
      return takeHold(tx, subject, operationId, "exclusive");
    });
    if (!blocker) return;
    const holders = (await holdersOf(db, subject)).filter((holder) => holder.operationId !== operationId);
    for (const holder of holders) {
      if (holder.verb === "retire") throw busy("machine", await nameOf(db, machineId), holder);
      if (!told.has(holder.operationId)) await tellToCancel({ db, temporal }, holder);
      told.add(holder.operationId);
      if (Date.now() > until || (await isHostLost(db, holder.hostId))) await giveUp({ db, temporal }, holder);
    }
    context.heartbeat({ waitsFor: holders.map((holder) => holder.operationId) });
    await delay(pollMs, undefined, { signal: context.cancellationSignal });
  }
}

async function tellToCancel({ db, temporal }: Preempting, { operationId, workflowId }: Holder): Promise<void> {
  await db.transaction((tx) => moveOperation(tx, operationId, ["pending", "running", "parked"], "cancelling"));
  await unlessEnded(temporal.workflow.getHandle(workflowId).cancel());
}

async function nameOf(db: Database, machineId: string): Promise<string> {
  const machine = await findAnyMachine(db, machineId);
  return machine.ok ? machine.value.name : machineId;
}

/** Its workflow is told too, so that it neither waits for its host nor undoes there what is another operation's by then. */
async function giveUp({ db, temporal }: Preempting, { operationId, workflowId }: Holder): Promise<void> {
  const fault = faultRecord({
    code: "operation_cancelled",
    message: "Another operation took the machine over before this one's undo had ended.",
  });
  await settleOperation(db, { operationId, steps: [], outcome: "cancelled", fault });
  await unlessEnded(temporal.workflow.getHandle(workflowId).signal("giveUp"));
}

async function unlessEnded(telling: Promise<unknown>): Promise<void> {
  await telling.catch((error: unknown) => {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  });
}
