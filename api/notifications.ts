/**
 * Waiting for something to happen in the database.
 *
 * The one idea: a notification only wakes those who wait, and a poll wakes them too, so a lost one costs a moment and never an answer. The session that
 * listens proves again and again that it hears; a deaf one is replaced.
 */
import { setTimeout as delay } from "node:timers/promises";
import postgres from "postgres";
import { rightsChannel } from "../db/callers.ts";
import { eventsChannel } from "../db/events.ts";
import { breaksAfter } from "../db/silence.ts";

/** The longest that a change goes unseen while nothing is heard. */
const pollMs = 500;
/** How often the session is asked to hear itself. Until it is replaced, the poll does its work. */
const proofMs = 2_000;
/** A notification takes milliseconds; a server that is busy gets more. */
const deafMs = 5_000;

export interface Notifications {
  /** Resolves at the next notification, the next poll, or when the signal is aborted. */
  next(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** `rightsChanged` is called when somebody's rights may have changed, whoever changed them, and when that may have gone unheard. */
export function listenForEvents(url: string, rightsChanged = () => {}): Notifications {
  const closing = new AbortController();
  const waiting = new Set<() => void>();
  const wake = () => {
    const all = [...waiting];
    waiting.clear();
    for (const one of all) one();
  };
  const listening = listen(url, { wake, rightsChanged }, closing.signal);
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
        if (signal.aborted || closing.signal.aborted) done();
      }),
    close: async () => {
      closing.abort();
      wake();
      await listening;
    },
  };
}

interface Heard {
  readonly wake: () => void;
  readonly rightsChanged: () => void;
}

/** Session after session, until the signal is aborted. */
async function listen(url: string, heard: Heard, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const sql = postgres(url, {
      max: 1,
      idle_timeout: 0,
      max_lifetime: null,
      onnotice: () => {},
      connection: { application_name: "drover-events" },
      ...breaksAfter(deafMs),
    });
    await hear(sql, heard, signal).catch(() => undefined);
    await sql.end({ timeout: 1 }).catch(() => undefined);
    // Whatever was told meanwhile stands in the rows.
    heard.wake();
    heard.rightsChanged();
    await rested(proofMs, signal);
  }
}

/** Ends when the session does not hear any more. */
async function hear(sql: postgres.Sql, { wake, rightsChanged }: Heard, signal: AbortSignal): Promise<void> {
  const own = `drover_proof_${crypto.randomUUID().replaceAll("-", "")}`;
  let heardAt = performance.now();
  await sql.listen(eventsChannel, wake, wake);
  await sql.listen(rightsChannel, rightsChanged, rightsChanged);
  await sql.listen(own, () => (heardAt = performance.now()));
  while (await rested(proofMs, signal)) {
    await sql.notify(own, "");
    if (performance.now() - heardAt > deafMs) return;
  }
}

/** `false` when there is no next time. */
const rested = (ms: number, signal: AbortSignal): Promise<boolean> =>
  delay(ms, undefined, { signal }).then(
    () => true,
    () => false,
  );
