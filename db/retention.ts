/**
 * What is dropped once it is old: events after 7 days, ended operations with their steps and output after 90.
 *
 * The one idea: the newest event always stays, because the next number counts from it. The audit stays whole, so that its chain can be proved.
 */
import { sql } from "drizzle-orm";
import type { Database } from "./connect.ts";

/** Deletes in batches, so that no writer waits long for a lock; answers whether there may be more. */
const batch = 5_000;

export async function dropOldEvents(db: Database): Promise<boolean> {
  const dropped = await db.execute(sql`delete from events where id in (
    select id from events where at < now() - interval '7 days' and number < (select max(number) from events) limit ${batch}) returning id`);
  return dropped.length === batch;
}

export async function dropOldOperations(db: Database): Promise<boolean> {
  const dropped = await db.execute(sql`delete from operations where id in (
    select id from operations where state in ('done', 'failed', 'cancelled') and ended_at < now() - interval '90 days' limit ${batch}) returning id`);
  return dropped.length === batch;
}
