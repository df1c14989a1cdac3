/**
 * Whether any gateway listens to hosts: without one, their silence says nothing about them.
 *
 * The one idea: a gateway holds a shared advisory lock while it serves. The lock lives and dies with its own session, so a gateway that was killed
 * leaves nothing to clear away.
 */
import { setTimeout as delay } from "node:timers/promises";
import { sql } from "drizzle-orm";
import postgres from "postgres";
import type { Database } from "./connect.ts";

/** Any number that nobody else locks in this database. */
const listeningLock = 7_310_005;
/** How soon a gateway that lost its session says again that it listens: much sooner than any host counts as lost. */
const againMs = 2_000;

/** Says that a gateway listens, until it is closed. */
export function tellListening(url: string): { close(): Promise<void> } {
  const closing = new AbortController();
  const own = postgres(url, { max: 1, idle_timeout: 0, max_lifetime: null, onnotice: () => {} });
  const tell = () => own`
    select pg_try_advisory_lock_shared(${listeningLock})
    where not exists (select 1 from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())`;
  const telling = (async () => {
    while (!closing.signal.aborted) {
      // A database that is away is asked again; meanwhile nobody compares either.
      await tell().catch(() => undefined);
      await delay(againMs, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  })();
  return {
    close: async () => {
      closing.abort();
      await telling;
      await own.end({ timeout: 2 });
    },
  };
}

export async function someoneListens(db: Database): Promise<boolean> {
  const rows = await db.execute(sql`
    select 1 from pg_locks where locktype = 'advisory' and objid = ${listeningLock}
    and database = (select oid from pg_database where datname = current_database()) limit 1`);
  return rows.length > 0;
}
