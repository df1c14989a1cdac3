/**
 * Runs the hub's loops in one process at a time.
 *
 * The one idea: who holds a PostgreSQL advisory lock leads. The lock lives and dies with its own connection, so a process that hangs or is cut off
 * stops leading when its session ends, and another takes over.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import postgres from "postgres";
import { breaksAfter } from "../db/silence.ts";

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
/** A leader that was stopped, or whose line is dead, has missed some checks by then: the server ends its session, and it takes itself for lost. */
const hungMs = 15_000;

export function lead({ url, loops, log, lock = leaderLock }: Leading): Leader {
  const closing = new AbortController();
  let leading = false;
  let lost = new AbortController();
  // Never closed for age or idleness: the session is the lead.
  const sql = postgres(url, {
    max: 1,
    idle_timeout: 0,
    max_lifetime: null,
    onnotice: () => {},
    onclose: () => lost.abort(),
    connection: { idle_session_timeout: hungMs },
    ...breaksAfter(hungMs),
  });

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

/** A database that is away for long is asked every 5 s, and told of once a minute. */
const longestPauseMs = 5_000;
const tellEveryMs = 60_000;

/** One loop: pass after pass, each ended before the next begins. One that fails again and again slows down, and its log does too. */
async function turn({ name, everyMs, pass }: Loop, signal: AbortSignal, log: Logger): Promise<void> {
  let failures = 0;
  let toldAt = Number.NEGATIVE_INFINITY;
  const failed = (err: unknown) => {
    failures += 1;
    if (performance.now() - toldAt < tellEveryMs) return;
    toldAt = performance.now();
    log.error({ event: "loop.failed", loop: name, failures, err }, `the ${name} loop failed; it runs again`);
  };
  const succeeded = () => {
    if (failures > 0) log.info({ event: "loop.recovered", loop: name, failures }, `the ${name} loop works again`);
    failures = 0;
    toldAt = Number.NEGATIVE_INFINITY;
  };
  do await pass().then(succeeded, failed);
  while (await rested(pauseMs(everyMs, failures), signal));
}

/** Twice as long after each failure. A loop that rests longer anyway keeps its pace. */
export const pauseMs = (everyMs: number, failures: number): number => Math.max(everyMs, Math.min(everyMs * 2 ** failures, longestPauseMs));

/** `false` when there is no next time. */
const rested = (ms: number, signal: AbortSignal): Promise<boolean> =>
  delay(ms, undefined, { signal }).then(
    () => true,
    () => false,
  );
