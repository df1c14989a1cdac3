/**
 * Tells machines that wait for room when there is some for them, and all of them why they still wait.
 *
 * The one idea: the queue is judged as a whole, anew at each look, by the same rules as a placement; a word that was lost is said again at a later look.
 */
import { isDeepStrictEqual } from "node:util";
import { WorkflowNotFoundError } from "@temporalio/client";
import { readSupplies } from "../db/placements.ts";
import { heldByProjects, notePending, waitingMachines, type WaitingMachine } from "../db/queue.ts";
import { giveRoom, inTurn } from "../domain/hosts/queue.ts";
import { lacking, looksAtLabels, type Supply } from "../domain/hosts/rules.ts";
import { answered, type Control } from "./start.ts";

/** A workflow that was told looks within a second; one that does not is told again. */
const sayAgainMs = 5_000;

export function roomTeller(control: Control): () => Promise<void> {
  const told = new Map<string, number>();
  return async () => {
    const waiting = await waitingMachines(control.db);
    const ids = new Set(waiting.map(({ machineId }) => machineId));
    for (const machineId of told.keys()) if (!ids.has(machineId)) told.delete(machineId);
    if (waiting.length === 0) return;
    const withLabels = looksAtLabels(waiting.map(({ demand }) => demand));
    let left: readonly Supply[] = await readSupplies(control.db, control.reserve, { withLabels });
    for (const [ahead, one] of inTurn(waiting, await heldByProjects(control.db)).entries()) {
      const given = giveRoom(left, one);
      await note(control, one, { ahead, hosts: given.host ? [] : lacking(left, one.demand) });
      if (!given.host) continue;
      left = given.left;
      if (Date.now() - (told.get(one.machineId) ?? 0) < sayAgainMs) continue;
      told.set(one.machineId, Date.now());
      await tell(control, one);
    }
  };
}

async function note({ db }: Control, { machineId, pending }: WaitingMachine, now: Pick<WaitingMachine["pending"], "ahead" | "hosts">) {
  const { ahead, hosts } = pending;
  if (!isDeepStrictEqual({ ahead, hosts }, now)) await notePending(db, machineId, { ...pending, ...now });
}

async function tell({ temporal, log }: Control, { machineId, workflowId }: WaitingMachine): Promise<void> {
  try {
    await answered(temporal, () => temporal.workflow.getHandle(workflowId).signal("room"));
  } catch (cause) {
    // One that ended from outside is the sweep's.
    if (cause instanceof WorkflowNotFoundError) return;
    log.error({ event: "room.untold", machineId, err: cause }, "a machine could not be told that there is room for it; it is tried again");
  }
}
