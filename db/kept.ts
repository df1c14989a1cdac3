/** Answers that were written lately, by their question: as many as fit, the ones that were asked for last. */

export interface Kept<V> {
  get(key: string): V | undefined;
  set(key: string, value: V, bytes: number): void;
}

/** Nothing is kept that would take more than a quarter of the room from all others. */
const mostShare = 4;

export function keeping<V>(mostBytes: number): Kept<V> {
  const known = new Map<string, { readonly value: V; readonly bytes: number }>();
  let kept = 0;
  const drop = (key: string): void => {
    kept -= known.get(key)?.bytes ?? 0;
    known.delete(key);
  };
  return {
    get: (key) => {
      const found = known.get(key);
      if (!found) return undefined;
      // A map tells its keys in the order of their arrival.
      known.delete(key);
      known.set(key, found);
      return found.value;
    },
    set: (key, value, bytes) => {
      drop(key);
      if (bytes > mostBytes / mostShare) return;
      known.set(key, { value, bytes });
      kept += bytes;
      for (const oldest of known.keys()) {
        if (kept <= mostBytes) break;
        drop(oldest);
      }
    },
  };
}
