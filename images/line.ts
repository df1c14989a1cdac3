/**
 * A limit on bytes per second that all transfers of a host share.
 *
 * Whoever wants to move bytes reserves the line for as long as they take and waits for the turn: first come, first served, so no transfer starves, and the rate holds
 * however many there are.
 */
import { setTimeout as after } from "node:timers/promises";

export interface Line {
  /** Waits until these bytes may travel. */
  take(bytes: number, signal: AbortSignal): Promise<void>;
}

export const freeLine: Line = { take: async () => undefined };

/** A rate that changes holds for what asks from then on. */
export function openLine(rate: number | (() => number)): Line {
  const bytesPerSecond = typeof rate === "number" ? () => rate : rate;
  let freeAt = 0;
  return {
    take: async (bytes, signal) => {
      const now = performance.now();
      const turn = Math.max(now, freeAt);
      freeAt = turn + (bytes / bytesPerSecond()) * 1000;
      if (turn > now) await after(turn - now, undefined, { signal }).catch(() => undefined);
      signal.throwIfAborted();
    },
  };
}
