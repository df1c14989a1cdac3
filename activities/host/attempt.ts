/**
 * One attempt of a host activity: it heartbeats by a timer, can be cancelled, and ends an older attempt of the same work in this process before it begins.
 *
 * The one idea: an attempt that the server gave up may still run here. Nobody works beside it: the newer one aborts it and waits until it has let go.
 */
import { Context } from "@temporalio/activity";
import { fullDiskAsFault } from "../../images/files.ts";
import type { Progress } from "../../domain/operations/schema.ts";
import type { Guard } from "./guard.ts";

/** Twice a second: cancellation comes back with a heartbeat, and a live host must answer it within 5 s. */
const beatMs = 500;

export interface Attempt {
  readonly signal: AbortSignal;
  readonly number: number;
  /** Tells the server what the attempt does; the details are a hint for people, never the truth. */
  note(details: { waitsFor?: string; progress?: Progress }): void;
}

interface Live {
  readonly abort: AbortController;
  readonly ended: Promise<unknown>;
}
export interface Attempts {
  /** `act` names one activity of the operation. */
  run<T>(operationId: string, act: string, work: (attempt: Attempt) => Promise<T>): Promise<T>;
  /** Ends the attempt that works in this process, if there is one, and waits until it has let go. */
  end(operationId: string, act: string): Promise<void>;
}

export function openAttempts(guard: Pick<Guard, "during">): Attempts {
  const live = new Map<string, Live>();
  return {
    end: async (operationId, act) => {
      const one = live.get(`${operationId}/${act}`);
      one?.abort.abort(new Error("What it made is taken back."));
      await one?.ended;
    },
    run: async (operationId, act, work) => {
      const key = `${operationId}/${act}`;
      const context = Context.current();
      const abort = new AbortController();
      const signal = AbortSignal.any([abort.signal, context.cancellationSignal]);
      let details: object = {};
      const beat = setInterval(() => context.heartbeat(details), beatMs);
      const older = live.get(key);
      const ended = Promise.withResolvers<void>();
      const own: Live = { abort, ended: ended.promise };
      live.set(key, own);
      try {
        older?.abort.abort(new Error("A newer attempt took over."));
        await older?.ended;
        context.heartbeat(details);
        const attempt = { signal, number: context.info.attempt, note: (said: object) => void (details = said) };
        return await guard.during({ operationId, signal, end: (reason) => abort.abort(reason) }, () => work(attempt));
      } catch (error) {
        // However the work words its end, a cancelled attempt ends as cancelled: Temporal tells it from a failure by this reason.
        if (context.cancellationSignal.aborted) throw context.cancellationSignal.reason;
        throw fullDiskAsFault(error);
      } finally {
        clearInterval(beat);
        ended.resolve();
        if (live.get(key) === own) live.delete(key);
      }
    },
  };
}
