/**
 * Waiting for something to happen in the database.
 *
 * The one idea: a notification only wakes those who wait, and a poll wakes them too, so a lost one costs a moment and never an answer.
 */
import type postgres from "postgres";

/** The relay's channel. */
const channel = "drover_events";
/** The longest that a change goes unseen when notifications fail. */
const pollMs = 500;

export interface Notifications {
  /** Resolves at the next notification, the next poll, or when the signal is aborted. */
  next(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

export async function listenForEvents(sql: postgres.Sql): Promise<Notifications> {
  const waiting = new Set<() => void>();
  const wake = () => {
    const all = [...waiting];
    waiting.clear();
    for (const one of all) one();
  };
  const listening = await sql.listen(channel, wake, wake);
  return {
    next: (signal) =>
      new Promise((resolve) => {
        const done = () => {
          clearTimeout(timer);
          waiting.delete(done);
          signal.removeEventListener("abort", done);
          resolve();
        };
        const timer = setTimeout(done, pollMs);
        waiting.add(done);
        signal.addEventListener("abort", done, { once: true });
        if (signal.aborted) done();
      }),
    close: async () => {
      wake();
      await listening.unlisten();
    },
  };
}
