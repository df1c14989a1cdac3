/**
 * Faults inside workflows: read from what an activity failed with, and thrown so that callers and the web UI can read them.
 *
 * The one idea: a fault travels as the detail of an ApplicationFailure whose type is its code, in both directions.
 */
import { ActivityFailure, ApplicationFailure, TimeoutFailure } from "@temporalio/workflow";
import { isFault, type Fault } from "../domain/errors.ts";

/** What an activity's failure says in our words. */
export function faultOf(error: unknown): Fault {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (cause instanceof ApplicationFailure) {
    const [fault] = cause.details ?? [];
    if (isFault(fault)) return fault;
    // Our workers always tell a fault, and Temporal's own say of which type a failure is; the `temporal` command tells no more than a reason.
    if (!cause.type)
      return { code: "step_failed_by_hand", message: `The step was failed by hand: ${cause.message || "no reason was given"}.` };
    return { code: "internal", message: cause.message };
  }
  if (cause instanceof TimeoutFailure && cause.timeoutType === "SCHEDULE_TO_START")
    return { code: "caller_gone", message: "The command that has the bundle does not run any more." };
  if (cause instanceof TimeoutFailure) return { code: "step_timeout", message: "The step gave no sign of life in time." };
  return { code: "internal", message: "The step failed in an unforeseen way; the log has its cause." };
}

export function refusal(code: Fault["code"], message: string, cause?: Fault): ApplicationFailure {
  const fault: Fault = { code, message, ...(cause ? { details: { cause } } : {}) };
  return ApplicationFailure.create({ type: code, message, nonRetryable: true, details: [fault] });
}
