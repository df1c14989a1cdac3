/**
 * Objects of stores that nothing living needs, from when a collection found them until they are gone.
 *
 * The one idea: whoever is about to count on such an object strikes it from this list first, in one statement, and whoever removes it claims it here first, in another:
 * so of the two exactly one goes ahead.
 */
import { and, asc, eq, gt, inArray, isNotNull, isNull, lt, or, sql } from "drizzle-orm";
import type { Database } from "./connect.ts";
import { condemnedObjects as condemned, operations } from "./schema.ts";

interface Dead {
  readonly key: string;
  readonly bytes: number;
}

/** A page of a sweep: some hundred kilobytes. */
const pageRows = 1_000;

/** The same object again keeps its time. */
export async function condemn(db: Database, storeId: string, objects: readonly Dead[]): Promise<void> {
  if (objects.length === 0) return;
  await db
    .insert(condemned)
    .values(objects.map(({ key, bytes }) => ({ storeId, key, bytes })))
    .onConflictDoNothing();
}

/** Verbs that only look at a store, or that remove from it what nobody else may count on. */
const carers = sql`('collect', 'check', 'scrub', 'retain')`;

/**
 * What was condemned before this moment may go: the grace is over, and whoever writes to the store began later. Operations that write say so by the `storeId` of
 * their input, conversions by `writesTo`.
 */
export async function removalHorizon(db: Database, storeId: string, graceMs: number): Promise<string> {
  const writers = sql`select min(${operations.createdAt}) from ${operations}
    where ${operations.state} not in ('done', 'failed', 'cancelled') and ${operations.verb} not in ${carers} and ${storeId} in (${operations.input}->>'storeId', ${operations.input}->>'writesTo')`;
  const [row] = await db.execute<{ horizon: string }>(
    sql`select least(clock_timestamp() - make_interval(secs => ${graceMs / 1000}), (${writers}))::text as horizon`,
  );
  return row?.horizon ?? "-infinity";
}

const goes = (before: string) => or(isNotNull(condemned.removingAt), lt(condemned.condemnedAt, sql`${before}::timestamptz`));
const named = (storeId: string, keys: readonly string[]) => and(eq(condemned.storeId, storeId), inArray(condemned.key, [...keys]));

export async function condemnedPage(
  db: Database,
  storeId: string,
  { afterKey, prefix, before }: { afterKey: string; prefix: string; before: string | null },
): Promise<Dead[]> {
  return db
    .select({ key: condemned.key, bytes: condemned.bytes })
    .from(condemned)
    .where(
      and(
        eq(condemned.storeId, storeId),
        gt(condemned.key, afterKey),
        sql`starts_with(${condemned.key}, ${prefix})`,
        before === null ? undefined : goes(before),
      ),
    )
    .orderBy(asc(condemned.key))
    .limit(pageRows);
}

export async function claimRemovals(db: Database, storeId: string, keys: readonly string[], before: string): Promise<string[]> {
  if (keys.length === 0) return [];
  const rows = await db
    .update(condemned)
    .set({ removingAt: sql`clock_timestamp()` })
    .where(and(named(storeId, keys), goes(before)))
    .returning({ key: condemned.key });
  return rows.map(({ key }) => key);
}

/** Strikes what is not on its way out yet. */
export async function spareObjects(db: Database, storeId: string, keys: readonly string[]): Promise<void> {
  if (keys.length > 0) await db.delete(condemned).where(and(named(storeId, keys), isNull(condemned.removingAt)));
}

export async function forgetRemoved(db: Database, storeId: string, keys: readonly string[]): Promise<void> {
  if (keys.length > 0) await db.delete(condemned).where(named(storeId, keys));
}

/** For whoever is about to count on objects: strikes them, and answers those whose removal has begun, with how long ago that was. */
export async function countOn(db: Database, storeId: string, keys: readonly string[]): Promise<Array<{ key: string; leavingMs: number }>> {
  if (keys.length === 0) return [];
  await spareObjects(db, storeId, keys);
  const leavingMs = sql<number>`(extract(epoch from clock_timestamp() - ${condemned.removingAt}) * 1000)::float8`;
  return db.select({ key: condemned.key, leavingMs }).from(condemned).where(named(storeId, keys));
}

export async function condemnedTotals(db: Database, storeId: string): Promise<{ objects: number; bytes: number }> {
  const [row] = await db
    .select({ objects: sql<number>`count(*)::int`, bytes: sql<number>`coalesce(sum(${condemned.bytes}), 0)::float8` })
    .from(condemned)
    .where(eq(condemned.storeId, storeId));
  return row ?? { objects: 0, bytes: 0 };
}
