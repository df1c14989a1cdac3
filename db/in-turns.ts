/**
 * Work on thousands of rows that lets others have their turn.
 *
 * The one idea: the event loop is shared, so whoever has much to do does a little of it at a time.
 */
import { setImmediate as turn } from "node:timers/promises";

/** So many rows of a list take few milliseconds to parse or to write. */
const atOnce = 100;

export async function inTurns<T, R>(items: readonly T[], work: (some: readonly T[]) => readonly R[]): Promise<R[]> {
  const done: R[] = [];
  for (let at = 0; at < items.length; at += atOnce) {
    if (at > 0) await turn();
    done.push(...work(items.slice(at, at + atOnce)));
  }
  return done;
}
