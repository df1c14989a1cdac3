/**
 * Compares what is known of hosts with what they last reported, and tells who must know: operations of lost hosts, readers of machines.
 *
 * The one idea: level-triggered. Whether an operation was told stands in its row, so a new leader goes on where the old one was.
 */
import { WorkflowNotFoundError } from "@temporalio/client";
import { applyObservations, markAbsent, markTold, markUnknown, operationsToTell, tellHostStates, type ToTell } from "../db/liveness.ts";
import { answered, type Control } from "./start.ts";

/** What one pass does at most, so that none outlasts its turn; the rest comes next. */
const perPass = 500;

export async function compare(control: Control): Promise<void> {
  const { db } = control;
  await tellHostStates(db);
  for (const told of await operationsToTell(db, perPass)) await tellOperation(control, told);
  await applyObservations(db, perPass);
  await markUnknown(db, perPass);
  await markAbsent(db, perPass);
}

/** The signal first, then the mark: told twice does no harm, never told would. */
async function tellOperation({ db, temporal, log }: Control, { operationId, workflowId, hostId, state }: ToTell): Promise<void> {
  const lost = state === "lost";
  try {
    await answered(temporal, () => temporal.workflow.getHandle(workflowId).signal(lost ? "hostLost" : "hostBack", hostId));
  } catch (cause) {
    // One that ended from outside is the sweep's.
    if (!(cause instanceof WorkflowNotFoundError)) {
      log.error({ event: "compare.untold", operationId, err: cause }, "an operation could not be told about its host; it is tried again");
      return;
    }
  }
  await markTold(db, operationId, lost);
}
