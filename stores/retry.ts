/**
 * Trying again what a store failed on: with growing pauses of random length, and within a budget.
 *
 * The one idea: a hiccup is mended here and nobody hears of it; a store in trouble is not made worse, because tries again are paid from a purse that only
 * success fills. A longer outage is the caller's to retry, where an operator sees it.
 */
import { setTimeout as after } from "node:timers/promises";
import { FaultError } from "../domain/errors.ts";

export interface Retry {
  run<T>(act: () => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** Waits and answers true when it is worth a try after the `failures`-th failure in a row. */
  again(error: unknown, failures: number, signal?: AbortSignal): Promise<boolean>;
}

/** With pauses of 0.2, 0.4, 0.8 and 1.6 s at most: an instance that restarts behind a balancer is passed over within them. */
const attempts = 5;
const firstPauseMs = 200;
/** Longer than this a store that asks for patience counts as away: transfers have leases to keep. */
const longestWaitMs = 20_000;
/** Packs of several transfers may meet one bad second together; a store that fails all of them is asked half a hundred times more, not thousands. */
const purse = 50;
/** Of what each success pays back: a store that fails one call in five can be lived with. */
const earned = 0.25;

export function retrier(random: () => number = Math.random): Retry {
  let tokens = purse;
  const again: Retry["again"] = async (error, failures, signal) => {
    if (signal?.aborted === true || failures >= attempts || tokens < 1) return false;
    const wanted = transient(error);
    if (wanted === null || wanted.retryAfterMs > longestWaitMs) return false;
    tokens -= 1;
    const pauseMs = wanted.retryAfterMs + random() * firstPauseMs * 2 ** (failures - 1);
    await after(pauseMs, undefined, signal ? { signal } : {});
    return true;
  };
  const run: Retry["run"] = async (act, signal) => {
    for (let failures = 1; ; failures++) {
      try {
        const value = await act();
        tokens = Math.min(purse, tokens + earned);
        return value;
      } catch (error) {
        if (!(await again(error, failures, signal))) throw error;
      }
    }
  };
  return { run, again };
}

/** Null for what another try cannot mend. */
function transient(error: unknown): { retryAfterMs: number } | null {
  if (!(error instanceof FaultError) || error.fault.code !== "store_unavailable") return null;
  const told = error.fault.details?.["retryAfterMs"];
  return { retryAfterMs: typeof told === "number" ? told : 0 };
}

/** The header in milliseconds: seconds, or a date by the store's clock. */
export function retryAfterMs(header: string | undefined, now = Date.now()): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d{1,6}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
