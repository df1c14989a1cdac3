/**
 * Reads that several requests ask for at one moment, as one read.
 *
 * The one idea: whoever asks while a read is under way waits for the next one. So every answer was read after its question came, as if nobody had shared
 * it, and a crowd costs hardly more than one.
 */

/** Answers what was read for the key; null where there is nothing. */
export type Together<V> = (key: string) => Promise<V | null>;

/** `read` gets each key once, however many ask for it. A read that fails fails for all that waited for it. */
export function together<V>(read: (keys: readonly string[]) => Promise<ReadonlyMap<string, V>>): Together<V> {
  let waiting = new Map<string, PromiseWithResolvers<V | null>>();
  let begun = false;

  const next = async () => {
    const asked = waiting;
    waiting = new Map();
    try {
      const found = await read([...asked.keys()]);
      for (const [key, { resolve }] of asked) resolve(found.get(key) ?? null);
    } catch (error) {
      for (const { reject } of asked.values()) reject(error);
    }
    if (waiting.size > 0) setImmediate(next);
    else begun = false;
  };

  return (key) => {
    const promised = waiting.get(key) ?? Promise.withResolvers<V | null>();
    waiting.set(key, promised);
    // At the end of this turn of the event loop: what comes in the same turn joins.
    if (!begun) setImmediate(next);
    begun = true;
    return promised.promise;
  };
}
