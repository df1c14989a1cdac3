/**
 * How long a host tries on by itself when the far end does not answer.
 *
 * The one idea: a hub that is away is waited for, since nothing on a host can go on without it and whoever gives the work up says so by the signal; a
 * store, or a hub that fails in a way of its own, gets a few tries, and then an operator hears of it.
 */
import { setTimeout as after } from "node:timers/promises";
import { FaultError } from "../../domain/errors.ts";

/** A gateway that restarts and a store that hiccups are back within seconds: 0.25 + 0.5 + 1 + 2 + 4 s. */
const attempts = 6;
/** A store that takes long to fail has used up its tries by then. */
const patienceMs = 10_000;
/** A hub that is back is noticed within a report's interval. */
const longestPauseMs = 5_000;

export async function patiently<T>(act: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  const until = performance.now() + patienceMs;
  for (let attempt = 1; ; attempt++) {
    try {
      return await act();
    } catch (error) {
      const code = error instanceof FaultError ? error.fault.code : null;
      const passing = code === "store_unavailable" || code === "internal";
      if (signal?.aborted === true || !(code === "hub_unavailable" || (passing && attempt < attempts && performance.now() < until)))
        throw error;
      await after(Math.min(125 * 2 ** attempt, longestPauseMs), undefined, signal ? { signal } : {});
    }
  }
}
