/**
 * What is dropped once it is old: events and their deliveries, ended operations with their steps and output, audit records, remembered requests and tokens.
 *
 * The one idea: the newest event always stays, because the next number counts from it; of the audit, the place where its chain goes on is kept.
 */
import { sql } from "drizzle-orm";
import { dropOldAudit } from "./audit.ts";
import type { Database } from "./connect.ts";
import { dropExchanged } from "./identities.ts";
import { dropOldGuesses } from "./guesses.ts";
import { dropOldKeys } from "./idempotency.ts";
import { dropOldDeliveries } from "./webhook-deliveries.ts";

/** How long each is kept, in milliseconds. */
export interface Retention {
  readonly eventsMs: number;
  readonly operationsMs: number;
  readonly auditMs: number;
}

/** Deletes in batches, so that no writer waits long for a lock. */
const batch = 5_000;

export async function dropOld(db: Database, { eventsMs, operationsMs, auditMs }: Retention): Promise<void> {
  await dropOldKeys(db);
  await dropOldGuesses(db);
  await dropExchanged(db);
  while (await dropOldEvents(db, eventsMs));
  // As long as the events that they tell.
  while (await dropOldDeliveries(db, eventsMs, batch));
  while (await dropOldOperations(db, operationsMs));
  while (await dropOldAudit(db, auditMs, batch));
}

/** Each answers whether there may be more. */
async function dropOldEvents(db: Database, olderThanMs: number): Promise<boolean> {
  const dropped = await db.execute(sql`delete from events where id in (select id from events
    where at < now() - ${olderThanMs} * interval '1 millisecond' and number < (select max(number) from events) limit ${batch}) returning id`);
  return dropped.length === batch;
}

async function dropOldOperations(db: Database, olderThanMs: number): Promise<boolean> {
  const dropped = await db.execute(sql`delete from operations where id in (select id from operations
    where state in ('done', 'failed', 'cancelled') and ended_at < now() - ${olderThanMs} * interval '1 millisecond' limit ${batch}) returning id`);
  return dropped.length === batch;
}
