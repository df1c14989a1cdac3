/**
 * Cancels an operation: the row says so first, then its workflow is told.
 *
 * The one idea: cancelling is asked for once and kept, so a hub that dies in between, or a workflow that was not started yet, is told by the sweep.
 */
import { WorkflowNotFoundError } from "@temporalio/client";
import { recordAudit } from "../db/audit.ts";
import { inTransaction } from "../db/connect.ts";
import { moveOperation, readOperation, findOperation } from "../db/operations.ts";
import { FaultError, unwrap, type Result } from "../domain/errors.ts";
import { mayCancel } from "../domain/operations/rules.ts";
import type { Operation } from "../domain/operations/schema.ts";
import { handOver } from "./batches.ts";
import { answered, type Asked, type Control } from "./start.ts";

/** Asking twice is asking once; what has ended is refused with `operation_settled`. */
export async function cancelOperation(
  control: Control,
  operationId: string,
  { actor, requestId, source }: Asked,
): Promise<Result<Operation>> {
  const asked = await inTransaction(control.db, async (tx) => {
    const { operation } = unwrap(await readOperation(tx, operationId, { lock: true }));
    if (operation.project !== actor.project) {
      throw new FaultError({ code: "operation_not_found", message: `There is no operation ${operationId}.`, subject: operationId });
    }
    unwrap(mayCancel(operation.state));
    const { id, subject, verb, workflowId } = operation;
    if (await moveOperation(tx, id, ["pending", "running", "parked"], "cancelling")) {
      await recordAudit(tx, {
        actor: actor.username,
        action: `${verb}.cancel`,
        subject,
        outcome: "accepted",
        operationId: id,
        requestId,
        source,
      });
    }
    return workflowId;
  });
  if (!asked.ok) return asked;
  // In a batch it has no workflow yet: it falls out, and its own is started and told.
  const told = handOver(control, { operationIds: [operationId] }).then(() => tellWorkflow(control, asked.value));
  await told.catch((cause: unknown) => {
    control.log.warn(
      { event: "operation.cancel_untold", operationId, err: cause },
      "the workflow could not be told to cancel; the sweep will tell it",
    );
  });
  return findOperation(control.db, operationId);
}

/** A workflow that is not there was not started yet, or has ended: the sweep finds out which. */
export async function tellWorkflow({ temporal }: Pick<Control, "temporal">, workflowId: string): Promise<void> {
  try {
    await answered(temporal, () => temporal.workflow.getHandle(workflowId).cancel());
  } catch (error) {
    if (!(error instanceof WorkflowNotFoundError)) throw error;
  }
}
