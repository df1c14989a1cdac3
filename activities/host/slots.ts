/**
 * What a host may do at once: counted slots and one-at-a-time keys, waited for in order.
 *
 * The one idea: waiting is part of the activity, so it heartbeats and can be cancelled; a waiter that leaves gives its turn to the next.
 */

/** Runs `work` while holding a slot; rejects with the signal's reason when it is aborted while it waits. */
export interface Slots {
  run<T>(signal: AbortSignal, work: () => Promise<T>, onWait?: () => void): Promise<T>;
}

export function openSlots(count: number): Slots {
  let free = count;
  const waiting: Array<() => void> = [];

  const leave = () => {
    const next = waiting.shift();
    if (next) next();
    else free += 1;
  };
  const enter = (signal: AbortSignal, onWait?: () => void): Promise<void> => {
    signal.throwIfAborted();
    if (free > 0) {
      free -= 1;
      return Promise.resolve();
    }
    onWait?.();
    return new Promise((resolve, reject) => {
      const turn = () => {
        signal.removeEventListener("abort", give);
        resolve();
      };
      const give = () => {
        waiting.splice(waiting.indexOf(turn), 1);
        reject(signal.reason);
      };
      signal.addEventListener("abort", give, { once: true });
      waiting.push(turn);
    });
  };

  return {
    run: async (signal, work, onWait) => {
      await enter(signal, onWait);
      try {
        return await work();
      } finally {
        leave();
      }
    },
  };
}

/** One at a time per key; keys nobody uses take no memory. */
export interface KeyedSlots {
  run<T>(key: string, signal: AbortSignal, work: () => Promise<T>, onWait?: () => void): Promise<T>;
}

export function openKeyedSlots(): KeyedSlots {
  const open = new Map<string, { slots: Slots; users: number }>();
  return {
    run: async (key, signal, work, onWait) => {
      const entry = open.get(key) ?? { slots: openSlots(1), users: 0 };
      open.set(key, entry);
      entry.users += 1;
      try {
        return await entry.slots.run(signal, work, onWait);
      } finally {
        entry.users -= 1;
        if (entry.users === 0) open.delete(key);
      }
    },
  };
}
