/**
 * What an operation is started with, and how its workflow tells the database how it goes.
 *
 * The one idea: records are local activities of the hub, so telling costs no hop, and telling twice changes nothing.
 */
import { proxyLocalActivities } from "@temporalio/workflow";
import type { OnFault, Outcome, StepState } from "../domain/operations/rules.ts";
import type { FaultRecord } from "../domain/operations/schema.ts";

/** What every workflow is started with. Only grows: a hub of this release starts what one of the release before wrote. */
export interface OperationInput {
  readonly interfaceVersion: 1;
  readonly operationId: string;
  readonly onFault: OnFault;
  readonly parkLimitMs: number;
}

/** How the frame tells the database. Implemented in `activities/hub/operations.ts`; repeating a call changes nothing. */
export interface RecordActivities {
  recordSteps(input: { operationId: string; steps: StepRecord[] }): Promise<void>;
  /** Ends the operation in one transaction: steps, state, result or fault, holds released, sealed input dropped, events, audit. */
  settle(input: {
    operationId: string;
    steps: StepRecord[];
    outcome: Outcome;
    fault?: FaultRecord;
    result?: Record<string, unknown>;
  }): Promise<void>;
}
/** `running` counts the attempt up; `pending` only announces a step that a host will report on. A settled step is not reopened by `done` or `pending`. */
export interface StepRecord {
  readonly name: string;
  readonly position: number;
  readonly state: StepState;
  readonly fault?: FaultRecord;
}

/** A write takes milliseconds; 30 s let PostgreSQL restart meanwhile, and without a limit on attempts nothing is lost when it takes longer. */
export const records = proxyLocalActivities<RecordActivities>({
  startToCloseTimeout: "30 seconds",
  localRetryThreshold: "1 minute",
  retry: { initialInterval: "100 milliseconds", maximumInterval: "10 seconds" },
});
