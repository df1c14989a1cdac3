/**
 * Many pieces of work, a few at a time.
 *
 * Pieces may weigh differently; the last one that is begun may go beyond the limit. It returns only when every piece that was begun has settled, so that undo never races work still in flight; the first failure ends the taking of new pieces.
 */
export async function forEachLimited<T>(
  items: Iterable<T> | AsyncIterable<T>,
  limit: number,
  work: (item: T) => Promise<void>,
  weigh: (item: T) => number = () => 1,
): Promise<void> {
  const running = new Set<Promise<void>>();
  let load = 0;
  let failed = false;
  let failure: unknown;
  const fail = (error: unknown) => {
    failure = failed ? failure : error;
    failed = true;
  };
  try {
    for await (const item of items) {
      if (failed) break;
      const weight = weigh(item);
      const piece: Promise<void> = work(item)
        .catch(fail)
        .finally(() => {
          running.delete(piece);
          load -= weight;
        });
      running.add(piece);
      load += weight;
      while (load >= limit) await Promise.race(running);
    }
  } catch (error) {
    fail(error);
  }
  await Promise.all(running);
  if (failed) throw failure;
}
