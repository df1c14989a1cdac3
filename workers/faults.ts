/**
 * The Temporal border of faults: an activity's fault becomes an ApplicationFailure whose type is its code and whose detail is the fault itself.
 *
 * The one idea: only what is decided as a fault crosses the border in words. Anything else is told as `internal` and its cause stays in this process's log.
 * Tries end, except those that wait for a hub whose database or gateway is away: no operation fails because the hub was mended slowly.
 */
import { setTimeout as after } from "node:timers/promises";
import { CompleteAsyncError, Context } from "@temporalio/activity";
import { ApplicationFailure, TemporalFailure } from "@temporalio/common";
import type { ActivityInterceptorsFactory } from "@temporalio/worker";
import { FaultError, isRetryable, type Fault } from "../domain/errors.ts";
import { foreignFault } from "../domain/foreign.ts";
import type { RecordActivities } from "../workflows/records.ts";

export type OnUnforeseen = (error: unknown) => void;

/**
 * How often one activity meets faults before an operator hears of it. On hosts, with the pauses of the workflows' policy, for seconds, and in the hub, where
 * pauses are short and a deadlock is not worth a word, for half a minute.
 */
export const tries = { host: 4, hub: 8 } as const;

export const faultInterceptor =
  (onUnforeseen: OnUnforeseen = () => {}, most: number = tries.host): ActivityInterceptorsFactory =>
  () => ({
    inbound: {
      async execute(input, next) {
        try {
          return await next(input);
        } catch (error) {
          if (error instanceof CompleteAsyncError || error instanceof TemporalFailure) throw error;
          if (!(error instanceof FaultError)) onUnforeseen(error);
          throw failureOf(error instanceof FaultError ? error.fault : unforeseen, most);
        }
      },
    },
  });

const unforeseen: Fault = {
  code: "internal",
  message: "The step failed in an unforeseen way; the log of the process that ran it has the cause.",
};

/** What must be written, however often it takes. */
const records: ReadonlySet<string> = new Set<keyof RecordActivities>(["recordSteps", "firstUnfinished", "settle"]);

function failureOf(fault: Fault, most: number): ApplicationFailure {
  const { attempt, activityType } = Context.current().info;
  const tired = fault.code !== "hub_unavailable" && !records.has(activityType) && attempt >= most;
  const nonRetryable = tired || !isRetryable(fault.code);
  return ApplicationFailure.create({ type: fault.code, message: fault.message, nonRetryable, details: [fault] });
}

const pauseMs = 1_000;
/** Left of an attempt's time, to end it in our words and not by a timeout. */
const spareMs = 5_000;

/** For the hub's own activities: one that meets a database which is away begins again within its attempt, so that few attempts outlast long absences. */
export const databaseInterceptor: ActivityInterceptorsFactory = () => ({
  inbound: {
    async execute(input, next) {
      const { info, cancellationSignal: signal, heartbeat } = Context.current();
      const until = performance.now() + info.startToCloseTimeoutMs - spareMs;
      for (;;) {
        try {
          return await next(input);
        } catch (error) {
          const fault = error instanceof FaultError ? null : foreignFault(error);
          if (fault?.code !== "hub_unavailable") throw error;
          if (info.isLocal || performance.now() > until) throw new FaultError(fault, { cause: error });
          heartbeat({ waitsFor: fault.message });
          await after(pauseMs, undefined, { signal });
        }
      }
    },
  },
});
