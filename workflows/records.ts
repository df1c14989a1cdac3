/**
 * What an operation is started with, and how its workflow tells the database how it goes.
 *
 * The one idea: records are local activities of the hub, so telling costs no hop, and telling twice changes nothing.
 */
import { proxyLocalActivities } from "@temporalio/workflow";
import type { Decision, OnFault, Outcome, StepState } from "../domain/operations/rules.ts";
import type { FaultRecord } from "../domain/operations/schema.ts";

/** What every workflow is started with. Only grows: a hub of this release starts what one of the release before wrote. */
export interface OperationInput {
  readonly interfaceVersion: 1;
  readonly operationId: string;
  readonly onFault: OnFault;
  readonly parkLimitMs: number;
  /** For people: an image, a machine. Absent in what a hub of the release before started. */
  readonly subject?: string;
}

/** How the frame tells the database. Implemented in `activities/hub/operations.ts`; repeating a call changes nothing. */
export interface RecordActivities {
  recordSteps(input: { operationId: string; steps: StepRecord[] }): Promise<void>;
  /** Of steps that one act does, the first that is neither done nor left out, as far as its host has told. */
  firstUnfinished(input: { operationId: string; steps: readonly string[] }): Promise<string>;
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
  /** The operator's word that brought the step here. */
  readonly decided?: Decided;
}
/** `id` is the update's: the same word told twice is one. */
export interface Decided {
  readonly id: string;
  readonly word: Decision;
}

/** A write takes milliseconds; 30 s let PostgreSQL restart meanwhile, and without a limit on attempts nothing is lost when it takes longer. */
const patience = {
  startToCloseTimeout: "30 seconds",
  localRetryThreshold: "1 minute",
  retry: { initialInterval: "100 milliseconds", maximumInterval: "10 seconds" },
} as const;
const local = proxyLocalActivities<RecordActivities>(patience);

export const records: RecordActivities = {
  recordSteps: (input) => {
    const summary = `record ${input.steps.map(({ name, state }) => `${name} ${state}`).join(", ")}`;
    return local.recordSteps.executeWithOptions({ ...patience, summary }, [input]);
  },
  firstUnfinished: (input) => local.firstUnfinished.executeWithOptions({ ...patience, summary: "which step it was" }, [input]),
  settle: (input) => local.settle.executeWithOptions({ ...patience, summary: `settle as ${input.outcome}` }, [input]),
};
