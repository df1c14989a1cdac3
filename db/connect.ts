/**
 * The connection to PostgreSQL, and the one type that every repository takes.
 *
 * The one idea: a `Database` is a pool or a transaction, so a repository function never knows which, and its caller decides what is true together.
 */
import { drizzle, type PostgresJsQueryResultHKT } from "drizzle-orm/postgres-js";
import type { PgDatabase } from "drizzle-orm/pg-core";
import postgres from "postgres";
import { FaultError, refuse, ok, type Result } from "../domain/errors.ts";
import { heedingDeadlines } from "./deadline.ts";
import { preparing } from "./prepared.ts";
import { breaksAfter } from "./silence.ts";

export type Database = PgDatabase<PostgresJsQueryResultHKT, Record<string, never>>;

/** A server that is away is asked anew within a second: who waits for it goes on soon after it is back. */
const backoff = (failures: number): number => Math.min(3 ** failures / 100, 1);

/** The longest statement takes seconds, and a step of the hub is given up after thirty: who waits for longer waits for a line that is dead. */
const silentMs = 45_000;
/** Shorter than silence that counts, so that only a connection that waits for something is ever silent for so long. */
const idleSeconds = 20;
/** A process that was stopped in the middle of a transaction, or cut off, must not keep its locks: ours take milliseconds. */
const forgotten = { idle_in_transaction_session_timeout: 15_000 };

export interface OpenDatabase {
  readonly db: Database;
  readonly sql: postgres.Sql;
  close(): Promise<void>;
}

/** Ten connections serve a process of ours; the embedded server allows 200 in all. Connections are made at the first query. */
export function openDatabase(url: string, { connections = 10 } = {}): OpenDatabase {
  const sql = postgres(url, {
    max: connections,
    onnotice: () => {},
    backoff,
    idle_timeout: idleSeconds,
    connection: forgotten,
    ...breaksAfter(silentMs),
  });
  // Two seconds let queries in flight end; what is longer is broken off.
  return { db: drizzle(heedingDeadlines(preparing(sql))), sql, close: () => sql.end({ timeout: 2 }) };
}

/** Runs `work` in one transaction. A fault thrown inside rolls it back and is answered; anything else is thrown on. */
export async function inTransaction<T>(db: Database, work: (tx: Database) => Promise<T>): Promise<Result<T>> {
  try {
    return ok(await db.transaction(work));
  } catch (error) {
    const fault = faultIn(error);
    if (fault) return refuse(fault);
    throw error;
  }
}

const faultIn = (error: unknown) => (error instanceof FaultError ? error.fault : null);
