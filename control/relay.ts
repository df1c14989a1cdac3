/**
 * Gives committed events and audit records their numbers, in order, and tells listeners that there are new ones.
 *
 * The one idea: only what is committed is seen here, and only one relay numbers at a time, so a reader who has seen number n has seen all before it.
 */
import { sql } from "drizzle-orm";
import { chainAudit } from "../db/audit.ts";
import type { Database } from "../db/connect.ts";
import { numberEvents, wakeListeners } from "../db/events.ts";

/** Events are numbered in one statement, audit records are read and chained. */
const eventsPerBatch = 1_000;
const recordsPerBatch = 200;
/** What one pass does at most: under a flood of events the loop still ends its turn, so that a leader that must go goes. The rest comes next. */
const batchesPerPass = 20;
/** Any number that nobody else locks in this database. */
const relayLock = 7_310_002;

/** Numbers batch by batch until nothing is left, or the pass has done its share. */
export async function relay(db: Database): Promise<void> {
  for (let batch = 0; batch < batchesPerPass && (await relayBatch(db)); batch += 1);
}

/** Answers whether there may be more. */
async function relayBatch(db: Database): Promise<boolean> {
  return db.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${relayLock}::bigint)`);
    const newest = await numberEvents(tx, eventsPerBatch);
    const chained = await chainAudit(tx, recordsPerBatch);
    if (newest === null) return chained === recordsPerBatch;
    await wakeListeners(tx, String(newest));
    return true;
  });
}
