/**
 * Runs the hub's loops in one process at a time.
 *
 * The one idea: who holds a PostgreSQL advisory lock leads. The lock lives and dies with its own connection, so a process that hangs or is cut off
 * stops leading when its session ends, and another takes over.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import postgres from "postgres";

export interface Loop {
  readonly name: string;
  readonly everyMs: number;
  readonly pass: () => Promise<unknown>;
}
export interface Leader {
  leading(): boolean;
  /** Ends the passes under way and gives the lead to another. */
  close(): Promise<void>;
}
export interface Leading {
  readonly url: string;
  readonly loops: readonly Loop[];
  readonly log: Logger;
  /** Only for tests, which share a server but no database: any number. */
  readonly lock?: number;
}

/** Any number that nobody else locks in this database. */
const leaderLock = 7_310_003;
/** How soon a follower notices that nobody leads, and a leader that its connection is gone. */
const checkMs = 2_000;

export function lead({ url, loops, log, lock = leaderLock }: Leading): Leader {
  const closing = new AbortController();
  let leading = false;
  let lost = new AbortController();
  // Never closed for age or idleness: the session is the lead.
  const sql = postgres(url, { max: 1, idle_timeout: 0, max_lifetime: null, onnotice: () => {}, onclose: () => lost.abort() });

  async function term(): Promise<void> {
    lost = new AbortController();
    const signal = AbortSignal.any([closing.signal, lost.signal]);
    const [row] = await sql`select pg_try_advisory_lock(${lock}) as won`;
    if (row?.["won"] !== true || signal.aborted) return;
    leading = true;
    log.info({ event: "leader.won" }, "this process leads the hub's loops");
    const running = Promise.all(loops.map((loop) => turn(loop, signal, log)));
    while (await rested(checkMs, signal)) await sql`select 1`.catch(() => lost.abort());
    await running;
    leading = false;
    if (!closing.signal.aborted) log.warn({ event: "leader.lost" }, "this process does not lead the hub's loops any more");
  }

  async function live(): Promise<void> {
    do
      await term().catch((cause: unknown) =>
        log.warn({ event: "leader.unsure", err: cause }, "the database does not answer; the lead is tried again"),
      );
    while (await rested(checkMs, closing.signal));
  }
  const living = live();

  return {
    leading: () => leading,
    close: async () => {
      closing.abort();
      await living;
      await sql.end({ timeout: 2 });
    },
  };
}

/** One loop: pass after pass, each ended before the next begins; a failure is told and tried again. */
async function turn({ name, everyMs, pass }: Loop, signal: AbortSignal, log: Logger): Promise<void> {
  do
    await pass().catch((cause: unknown) =>
      log.error({ event: "loop.failed", loop: name, err: cause }, `the ${name} loop failed; it runs again`),
    );
  while (await rested(everyMs, signal));
}

/** `false` when there is no next time. */
const rested = (ms: number, signal: AbortSignal): Promise<boolean> =>
  delay(ms, undefined, { signal }).then(
    () => true,
    () => false,
  );
