/**
 * Reads that several requests ask for at one moment, as one read.
 *
 * The one idea: a read begins after all who get its answer have asked. So every answer was read after its question came, as if nobody had shared it, and
 * a crowd costs hardly more than one.
 */
import { withoutDeadline } from "./deadline.ts";

/** Answers what was read for the key; null where there is nothing. */
export type Together<V> = (key: string) => Promise<V | null>;

/** One read in which the database or the line to it hangs must not hold up all others; more of them would share less. */
const readsAtOnce = 2;

/** `read` gets each key once, however many ask for it. A read that fails fails for all that waited for it. */
export function together<V>(read: (keys: readonly string[]) => Promise<ReadonlyMap<string, V>>): Together<V> {
  let waiting = new Map<string, PromiseWithResolvers<V | null>>();
  let reading = 0;
  let due = false;

  const begin = async () => {
    due = false;
    const asked = waiting;
    waiting = new Map();
    reading += 1;
    try {
      const found = await read([...asked.keys()]);
      for (const [key, { resolve }] of asked) resolve(found.get(key) ?? null);
    } catch (error) {
      for (const { reject } of asked.values()) reject(error);
    }
    reading -= 1;
    plan();
  };
  /** At the end of this turn of the event loop: what comes in the same turn joins. */
  const plan = () => {
    if (due || waiting.size === 0 || reading >= readsAtOnce) return;
    due = true;
    // Of those who wait, none's deadline is the others'.
    setImmediate(() => withoutDeadline(begin));
  };

  return (key) => {
    const promised = waiting.get(key) ?? Promise.withResolvers<V | null>();
    waiting.set(key, promised);
    plan();
    return promised.promise;
  };
}

/** The same for what cannot be read for several keys at once, or takes long for some: each key waits for nobody else. */
export function eachTogether<V>(read: (key: string) => Promise<V>): (key: string) => Promise<V> {
  const waiting = new Map<string, Promise<V>>();
  return (key) => {
    const known = waiting.get(key);
    if (known) return known;
    const promised = new Promise<V>((resolve, reject) =>
      setImmediate(() => {
        waiting.delete(key);
        withoutDeadline(() => read(key)).then(resolve, reject);
      }),
    );
    waiting.set(key, promised);
    return promised;
  };
}
