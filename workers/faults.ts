/**
 * The Temporal border of faults: an activity's fault becomes an ApplicationFailure whose type is its code and whose detail is the fault itself.
 *
 * The one idea: only what is decided as a fault crosses the border in words. Anything else is told as `internal` and its cause stays in this process's log.
 */
import { CompleteAsyncError } from "@temporalio/activity";
import { ApplicationFailure, TemporalFailure } from "@temporalio/common";
import type { ActivityInterceptorsFactory } from "@temporalio/worker";
import { FaultError, isRetryable, type Fault } from "../domain/errors.ts";

export type OnUnforeseen = (error: unknown) => void;

export const faultInterceptor =
  (onUnforeseen: OnUnforeseen = () => {}): ActivityInterceptorsFactory =>
  () => ({
    inbound: {
      async execute(input, next) {
        try {
          return await next(input);
        } catch (error) {
          if (error instanceof CompleteAsyncError || error instanceof TemporalFailure) throw error;
          if (!(error instanceof FaultError)) onUnforeseen(error);
          throw failureOf(error instanceof FaultError ? error.fault : unforeseen);
        }
      },
    },
  });

const unforeseen: Fault = {
  code: "internal",
  message: "The step failed in an unforeseen way; the log of the process that ran it has the cause.",
};

function failureOf(fault: Fault): ApplicationFailure {
  return ApplicationFailure.create({ type: fault.code, message: fault.message, nonRetryable: !isRetryable(fault.code), details: [fault] });
}
