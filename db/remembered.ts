/**
 * What was read lately, answered again for a few seconds or until somebody says that it may have changed.
 *
 * The one idea: what is remembered counts from the moment at which its reading began, and a reading during which something changed is answered and not
 * remembered. So nobody is answered what is older than the limit, or older than the last word of a change.
 */

/** The longest that a right which was taken away may still be believed, wherever nobody hears of its end. */
const believedMs = 5_000;
/** More callers than one process serves within seconds; bounds the memory. */
const mostRemembered = 10_000;

/** Tells those who remember that what they know may have changed. */
export interface Changes {
  readonly count: () => number;
  readonly tell: () => void;
}

export function openChanges(): Changes {
  let told = 0;
  return { count: () => told, tell: () => void (told += 1) };
}

interface Remembering<V> {
  readonly changes: Changes;
  /** When a value ends by itself, by the clock; `Infinity` for never, null for one that is not to be remembered. */
  readonly endOf: (value: V) => number | null;
  readonly now?: () => number;
}

/** Answers at once what is remembered. */
export function remembered<V>(
  read: (key: string) => Promise<V>,
  { changes, endOf, now = Date.now }: Remembering<V>,
): (key: string) => V | Promise<V> {
  const known = new Map<string, { readonly value: V; readonly until: number; readonly before: number }>();
  const anew = async (key: string): Promise<V> => {
    const [at, before] = [now(), changes.count()];
    const value = await read(key);
    const end = endOf(value);
    known.delete(key);
    if (end === null || changes.count() !== before) return value;
    if (known.size >= mostRemembered) known.clear();
    known.set(key, { value, until: Math.min(at + believedMs, end), before });
    return value;
  };
  return (key) => {
    const kept = known.get(key);
    return kept && kept.before === changes.count() && now() < kept.until ? kept.value : anew(key);
  };
}
