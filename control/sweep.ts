/**
 * Keeps promises: starts what was intended and not started, settles what ended behind our back, ends machines whose time is over.
 *
 * The one idea: it looks at rows and at what Temporal says of them; nothing that it does is wrong when done twice.
 */
import { countAttempt, dueIntents } from "../db/intents.ts";
import { machinesToRetire } from "../db/machines.ts";
import { findOperation, startedOperations } from "../db/operations.ts";
import { settleOperation } from "../db/settlement.ts";
import { unwrap } from "../domain/errors.ts";
import { faultRecord } from "../domain/operations/rules.ts";
import type { Operation } from "../domain/operations/schema.ts";
import { sweepBatches } from "./batches.ts";
import { tellWorkflow } from "./cancel.ts";
import { retireIfDue } from "./retire.ts";
import { launch, statusOf, answered, type Control } from "./start.ts";

/** A start takes milliseconds: what is older than 2 s was left by a crash, or waits for Temporal. */
const intentAgeMs = 2_000;
/** What one pass does at most, so that none outlasts its turn; the rest comes next. */
const perPass = 200;

/** Starts the workflows of intents that nobody else started. */
export async function startIntended(control: Control): Promise<void> {
  await eachAlone(control, "batches", () => sweepBatches(control));
  for (const intent of await dueIntents(control.db, { olderThanMs: intentAgeMs, limit: perPass })) {
    await eachAlone(control, intent.operationId, async () => {
      await countAttempt(control.db, intent.operationId);
      await launch(control, intent, unwrap(await findOperation(control.db, intent.operationId)));
    });
  }
}

/** Settles operations whose workflow has ended without saying so, and tells those to cancel that were not told. Goes round all, some per pass. */
export function endedSettler(control: Control): () => Promise<void> {
  let afterId = firstId;
  return async () => {
    const operations = await startedOperations(control.db, { afterId, limit: perPass });
    afterId = operations.length < perPass ? firstId : (operations.at(-1)?.id ?? firstId);
    for (const operation of operations) await eachAlone(control, operation.id, () => settleIfEnded(control, operation));
  };
}
const firstId = "00000000-0000-0000-0000-000000000000";

async function settleIfEnded(control: Control, operation: Operation): Promise<void> {
  const status = await statusOf(control, operation.workflowId);
  if (status === "RUNNING" || status === "PAUSED") {
    if (operation.state === "cancelling") await tellWorkflow(control, operation.workflowId);
    return;
  }
  // What was published is in the database or not at all; anything else was done on a host.
  if (status === "COMPLETED" && operation.verb !== "push") return settleDone(control, operation);
  const how = status === null ? "is not known to Temporal any more" : `ended as ${status.toLowerCase()} without settling`;
  const fault = faultRecord({
    code: "operation_terminated",
    message: `The workflow of the ${operation.verb} operation ${how}.`,
    subject: operation.subject,
  });
  const settled = await settleOperation(control.db, { operationId: operation.id, steps: [], outcome: "failed", fault });
  if (settled)
    control.log.warn(
      { event: "operation.terminated", operationId: operation.id, workflowId: operation.workflowId, status },
      "settled a workflow that ended from outside",
    );
}

/** It settled in what a restored database forgot: the workflow's own result tells what came of it. */
async function settleDone({ db, temporal, log }: Control, { id, workflowId, verb }: Operation): Promise<void> {
  const result: unknown = await answered(temporal, () => temporal.workflow.getHandle(workflowId).result());
  const told = typeof result === "object" && result !== null ? { ...result } : {};
  if (await settleOperation(db, { operationId: id, steps: [], outcome: "done", result: told }))
    log.warn(
      { event: "operation.remembered", operationId: id, workflowId, verb },
      "settled a workflow that was done and that the database had forgotten",
    );
}

/** Retires machines whose time to live is over by the database's clock, and those that were left half made. One that was prolonged meanwhile lives on. */
export async function retireDue(control: Control): Promise<void> {
  for (const machine of await machinesToRetire(control.db, { limit: perPass })) {
    await eachAlone(control, machine.id, async () => void (await retireIfDue(control, machine)));
  }
}

/** One that fails is told and does not keep the others waiting. */
async function eachAlone({ log }: Control, subject: string, act: () => Promise<void>): Promise<void> {
  await act().catch((cause: unknown) =>
    log.error({ event: "sweep.failed", subject, err: cause }, "the sweep could not do its part; it tries again"),
  );
}
