/**
 * Pools: what there should be.
 *
 * The one idea: a pool's row is the lock of whatever is made for it, so its machines are counted and asked for by one at a time; leases do not touch it.
 */
import { and, asc, eq, sql } from "drizzle-orm";
import type { Reader } from "../domain/access/rules.ts";
import type { Holder } from "../domain/catalog/rules.ts";
import { FaultError } from "../domain/errors.ts";
import { mayReach } from "../domain/machines/rules.ts";
import type { Refused } from "../domain/pools/rules.ts";
import { fitsWords, PoolRow, type NewPool, type PoolChange } from "../domain/pools/schema.ts";
import type { Database } from "./connect.ts";
import { pools } from "./schema.ts";

/** A pool with what only the hub sees: with which rights its machines are made. */
export interface KeptPool {
  readonly pool: PoolRow;
  readonly holder: Holder;
  readonly revision: number;
  readonly revisedAt: Date;
  readonly endsLeases: boolean;
  readonly refused: Refused | null;
}

const kept = (row: typeof pools.$inferSelect): KeptPool => {
  const { holder, revision, revisedAt, endsLeases, refused } = row;
  return { pool: PoolRow.parse(row), holder, revision, revisedAt, endsLeases, refused };
};

export async function insertPool(
  tx: Database,
  wanted: NewPool,
  by: { project: string; holder: Holder; owner: string; createdBy: string },
): Promise<KeptPool> {
  const values = { ...wanted, ...by, id: crypto.randomUUID(), image: imageOf(wanted.image) };
  const [row] = await tx.insert(pools).values(values).onConflictDoNothing().returning();
  if (row) return kept(row);
  throw new FaultError({ code: "pool_exists", message: `There is a pool named ${wanted.name} already.`, subject: wanted.name });
}

/** All that a reader reaches, by name. */
export async function listPools(db: Database, reader: Reader): Promise<KeptPool[]> {
  const rows = await db
    .select()
    .from(pools)
    .where(eq(pools.project, reader.project))
    .orderBy(asc(sql`lower(${pools.name})`));
  return rows.map(kept).filter(({ pool }) => mayReach(pool, reader));
}

/** Every pool there is. */
export async function allPools(db: Database): Promise<KeptPool[]> {
  return (await db.select().from(pools).orderBy(asc(pools.createdAt))).map(kept);
}

/** Null when it is gone. `lock` keeps everybody else from making machines for it. */
export async function readPool(db: Database, id: string, { lock = false } = {}): Promise<KeptPool | null> {
  const query = db.select().from(pools).where(eq(pools.id, id));
  const [row] = await (lock ? query.for("update") : query);
  return row ? kept(row) : null;
}

/** By name, in any case, as its reader may see it: what may not be seen does not exist. */
export async function findPool(db: Database, name: string, reader: Reader, { lock = false } = {}): Promise<KeptPool> {
  const query = db
    .select()
    .from(pools)
    .where(and(eq(pools.project, reader.project), sql`lower(${pools.name}) = lower(${name})`));
  const [row] = await (lock ? query.for("update") : query);
  const found = row && kept(row);
  if (found && mayReach(found.pool, reader)) return found;
  throw new FaultError({ code: "pool_not_found", message: `There is no pool ${name}.`, subject: name });
}

/** What its machines are made by: a change of any of these makes those that wait outdated. */
const making = ["image", "vcpus", "memoryBytes", "hostLabels", "labels", "idleState"] as const;

export async function changePool(tx: Database, { pool }: KeptPool, change: PoolChange, holder: Holder): Promise<KeptPool> {
  const given = Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
  const wanted: PoolRow = { ...pool, ...given };
  if (wanted.minimumIdle > wanted.maximum)
    throw new FaultError({ code: "invalid_request", message: `minimumIdle: ${fitsWords.message}`, subject: pool.name });
  const isRevised = making.some((field) => JSON.stringify(wanted[field]) !== JSON.stringify(pool[field]));
  const revised = isRevised ? { revision: sql`${pools.revision} + 1`, revisedAt: sql`clock_timestamp()` } : {};
  // Whoever names another image answers for it with rights of their own.
  const image = change.image === undefined ? {} : { image: imageOf(change.image), holder };
  const [row] = await tx
    .update(pools)
    .set({ ...given, ...image, ...revised, refused: null, updatedAt: sql`now()` })
    .where(eq(pools.id, pool.id))
    .returning();
  return kept(row ?? missing(pool.name));
}

/** From now on it only ends: asked again, it may still be told to end its leases too. */
export async function endPool(tx: Database, { pool }: KeptPool, endsLeases: boolean): Promise<KeptPool> {
  const [row] = await tx
    .update(pools)
    .set({ state: "ending", endsLeases: sql`${pools.endsLeases} or ${endsLeases}`, updatedAt: sql`now()` })
    .where(eq(pools.id, pool.id))
    .returning();
  return kept(row ?? missing(pool.name));
}

export async function removePool(tx: Database, id: string): Promise<void> {
  await tx.delete(pools).where(eq(pools.id, id));
}

/** Tells people why no machine could be asked for, or that it can be again. */
export async function noteRefused(db: Database, id: string, refused: Refused | null): Promise<void> {
  await db.update(pools).set({ refused }).where(eq(pools.id, id));
}

function imageOf({ catalogId, version, architecture }: NewPool["image"]) {
  return { catalogId, ...(version === undefined ? {} : { version }), ...(architecture === undefined ? {} : { architecture }) };
}

function missing(name: string): never {
  throw new FaultError({ code: "pool_not_found", message: `There is no pool ${name}.`, subject: name });
}
