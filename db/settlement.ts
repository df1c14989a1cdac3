/**
 * How an operation ends: everything that its end makes true is one transaction.
 *
 * The one idea: only the call that moves the operation out of its unsettled state acts, so settling twice is settling once. What the intent of an action
 * reserved goes back unless the action was done.
 */
import { z } from "zod";
import { DesiredState } from "../domain/machines/schema.ts";
import { isSettled } from "../domain/operations/rules.ts";
import type { Operation } from "../domain/operations/schema.ts";
import { recordAudit } from "./audit.ts";
import type { Database } from "./connect.ts";
import { recordEvent, wakeListeners } from "./events.ts";
import { releaseHolds } from "./holds.ts";
import { endDraining } from "./hosts.ts";
import { deleteIntent } from "./intents.ts";
import { dropAdopted, findMachine, isNameFree, markActed, renameMachine, retireRow, updateMachine } from "./machines.ts";
import { endOperation, readOperation, type Ending } from "./operations.ts";
import { changePlacement, deletePlacement } from "./placements.ts";
import { closeSteps, writeSteps, type ToldStep } from "./steps.ts";

/** What an action's intent changed, kept in the operation's input under `before`. */
export const Before = z.object({
  desired: DesiredState.optional(),
  runs: z.boolean().optional(),
  name: z.string().optional(),
  cloneId: z.string().optional(),
  /** The machine was in no row before. */
  adopted: z.boolean().optional(),
});
export type Before = z.infer<typeof Before>;

export interface Settlement extends Ending {
  readonly operationId: string;
  readonly steps: readonly ToldStep[];
}

/** `false` when the operation had ended before; nothing is changed then. */
export async function settleOperation(db: Database, { operationId, steps, ...ending }: Settlement): Promise<boolean> {
  return db.transaction(async (tx) => {
    const ended = await endOperation(tx, operationId, ending);
    if (!ended) return false;
    const { operation, input } = ended;
    await writeSteps(tx, operationId, steps);
    if (ending.outcome !== "done") {
      await closeSteps(tx, operationId, ending.outcome);
      await putBack(tx, operation, input);
    }
    if (operation.verb === "drain") await endDraining(tx, operationId, ending.outcome === "done");
    const free = [markActed(tx, operationId), releaseHolds(tx, operationId), deleteIntent(tx, operationId)];
    await Promise.all([...free, tellEnd(tx, operation, ended.requestId)]);
    return true;
  });
}

/** Gives back what an action's intent reserved, as long as the operation is under way. */
export async function releaseReserved(db: Database, operationId: string): Promise<void> {
  await db.transaction(async (tx) => {
    const found = await readOperation(tx, operationId, { lock: true });
    if (!found.ok || isSettled(found.value.operation.state)) return;
    await putBack(tx, found.value.operation, found.value.input);
  });
}

async function putBack(tx: Database, { machineId }: Operation, input: Readonly<Record<string, unknown>>): Promise<void> {
  const before = Before.safeParse(input["before"]);
  if (!before.success || machineId === null) return;
  const { desired, runs, name, cloneId, adopted } = before.data;
  // The machine's row is the lock of its placement, and always comes first. A clone's source lost nothing.
  await findMachine(tx, cloneId ?? machineId, { lock: true });
  if (desired !== undefined) await updateMachine(tx, machineId, { desired });
  if (runs !== undefined) await changePlacement(tx, machineId, { runs });
  // Somebody may have taken the old name meanwhile: the machine then keeps the one it was to get.
  if (name !== undefined && (await isNameFree(tx, machineId, name))) await renameMachine(tx, machineId, name);
  // A retired row would tell its host to remove the machine.
  if (adopted === true && (await dropAdopted(tx, machineId))) await deletePlacement(tx, machineId);
  if (cloneId === undefined) return;
  await retireRow(tx, cloneId, "machine.forgotten");
  await deletePlacement(tx, cloneId);
}

const changesSnapshots = new Set<Operation["verb"]>(["snapshot-create", "snapshot-revert", "snapshot-delete"]);

async function tellEnd(tx: Database, operation: Operation, requestId: string | null): Promise<void> {
  const { id, project, verb, state, subject, machineId, actor, fault } = operation;
  if (!isSettled(state)) return;
  const body = { verb, subject, ...(fault ? { code: fault.code, message: fault.message } : {}) };
  await recordEvent(tx, { type: "operation", name: `operation.${state}`, subjectId: id, operationId: id, project, body });
  if (state === "done" && machineId !== null && changesSnapshots.has(verb))
    await recordEvent(tx, {
      type: "machine",
      name: "machine.snapshots",
      subjectId: machineId,
      operationId: id,
      project,
      body: { name: subject },
    });
  await recordAudit(tx, { actor, action: `${verb}.settled`, subject, outcome: state, operationId: id, requestId });
  // Who waits for the end looks at the row at once; who follows events gets this one with its number a moment later.
  await wakeListeners(tx);
}
