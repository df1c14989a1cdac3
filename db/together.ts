/**
 * Reads that several requests ask for at one moment, as one read.
 *
 * The one idea: a read begins after all who get its answer have asked. So every answer was read after its question came, as if nobody had shared it, and
 * a crowd costs hardly more than one. It lasts as long as the one of them with the most time, and each of them as long as its own.
 */
import { deadlineAt, until, waitedFor } from "./deadline.ts";

/** Answers what was read for the key; null where there is nothing. */
export type Together<V> = (key: string) => Promise<V | null>;

/** One read in which the database or the line to it hangs must not hold up all others; more of them would share less. */
const readsAtOnce = 2;

/** `read` gets each key once, however many ask for it. A read that fails fails for all that waited for it. */
export function together<V>(read: (keys: readonly string[]) => Promise<ReadonlyMap<string, V>>): Together<V> {
  let waiting = new Map<string, PromiseWithResolvers<V | null>>();
  /** When the last of those who wait must be over. */
  let latest = 0;
  let reading = 0;
  let due = false;

  const begin = async () => {
    due = false;
    const asked = waiting;
    const end = latest;
    waiting = new Map();
    latest = 0;
    reading += 1;
    try {
      const found = await until(end, () => read([...asked.keys()]));
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
    setImmediate(() => void begin());
  };

  return (key) => {
    const promised = waiting.get(key) ?? Promise.withResolvers<V | null>();
    waiting.set(key, promised);
    latest = Math.max(latest, deadlineAt());
    plan();
    return waitedFor(promised.promise);
  };
}

/** The same for what cannot be read for several keys at once, or takes long for some: each key waits for nobody else. */
export function eachTogether<V>(read: (key: string) => Promise<V>): (key: string) => Promise<V> {
  const waiting = new Map<string, { readonly answer: Promise<V>; latest: number }>();
  const begin = (key: string) => {
    const latest = waiting.get(key)?.latest ?? Infinity;
    waiting.delete(key);
    return until(latest, () => read(key));
  };
  return (key) => {
    const known = waiting.get(key);
    if (known) known.latest = Math.max(known.latest, deadlineAt());
    const asked = known ?? {
      answer: new Promise<V>((resolve, reject) => setImmediate(() => begin(key).then(resolve, reject))),
      latest: deadlineAt(),
    };
    waiting.set(key, asked);
    return waitedFor(asked.answer);
  };
}
