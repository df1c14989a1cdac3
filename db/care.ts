/**
 * What lives in a store, and how far the care for it has come.
 *
 * The one idea: a tree lives while a version points to it, or an operation that has not ended reads it; everything else follows from these few references.
 */
import { and, eq, isNotNull, sql } from "drizzle-orm";
import type { Finding } from "../domain/catalog/care.ts";
import { archivedGeneration } from "./archives.ts";
import type { Database } from "./connect.ts";
import type { TreeRef } from "./images.ts";
import { damagedObjects, hosts, imageVersions as versions, operations, storeCare } from "./schema.ts";

/** Each once: of versions, and of transfers to hosts. What a push under way counts on lasts by the horizon of removals. */
export async function livingTrees(db: Database, storeId: string): Promise<TreeRef[]> {
  const unsettled = sql`${operations.state} not in ('done', 'failed', 'cancelled')`;
  const rows = await db.execute<{ digest: string; generation: number }>(sql`
    select ${versions.digest} as digest, ${versions.generation} as generation from ${versions} where ${versions.storeId} = ${storeId} and ${versions.generation} > ${archivedGeneration}
    union
    select ${operations.input}->'chosen'->>'digest', (${operations.input}->'chosen'->>'generation')::int from ${operations}
      where ${unsettled} and ${operations.input}->'chosen'->>'storeId' = ${storeId} and (${operations.input}->'chosen'->>'generation')::int > ${archivedGeneration}
    order by 1, 2`);
  return [...rows].map(({ digest, generation }) => ({ digest, generation }));
}

export interface Care {
  readonly identity: string | null;
  readonly scrubNext: number;
}

export async function careOf(db: Database, storeId: string): Promise<Care> {
  const [row] = await db.select().from(storeCare).where(eq(storeCare.storeId, storeId));
  return { identity: row?.identity ?? null, scrubNext: row?.scrubNext ?? 0 };
}

export async function noteCare(
  db: Database,
  storeId: string,
  changes: { identity?: string; scrubNext?: number; collected?: true; scrubbed?: true },
): Promise<void> {
  const { identity, scrubNext, collected, scrubbed } = changes;
  const set = {
    ...(identity === undefined ? {} : { identity }),
    ...(scrubNext === undefined ? {} : { scrubNext }),
    ...(collected ? { collectedAt: sql`now()` } : {}),
    ...(scrubbed ? { scrubbedAt: sql`now()` } : {}),
  };
  await db
    .insert(storeCare)
    .values({ storeId, ...set })
    .onConflictDoUpdate({ target: storeCare.storeId, set });
}

/** Points every version with this tree, where it stands at the old locations, to the new ones. */
export async function pointTo(
  db: Database,
  { storeId, from, to }: { storeId: string; from: TreeRef; to: { generation: number; storedBytes: number } },
): Promise<number> {
  const at = and(eq(versions.storeId, storeId), eq(versions.digest, from.digest), eq(versions.generation, from.generation));
  const moved = await db.update(versions).set(to).where(at).returning({ id: versions.id });
  return moved.length;
}

export async function listDamage(db: Database, storeId: string): Promise<Finding[]> {
  const { key, problem, content, digests } = damagedObjects;
  return db.select({ key, problem, content, digests }).from(damagedObjects).where(eq(damagedObjects.storeId, storeId)).orderBy(key);
}

/**
 * Replaces what is known of the objects that were looked at by what was found, and marks the versions that are hurt. Answers the findings that nobody knew of.
 * `looked`: whether this look would have found it again, so that what was found before and is whole now is struck.
 */
export async function recordFindings(
  tx: Database,
  storeId: string,
  { findings, looked }: { findings: readonly Finding[]; looked: (known: Finding) => boolean },
): Promise<Finding[]> {
  const known = await listDamage(tx, storeId);
  const stands = new Set(findings.map(({ key }) => key));
  for (const one of known)
    if (looked(one) && !stands.has(one.key))
      await tx.delete(damagedObjects).where(and(eq(damagedObjects.storeId, storeId), eq(damagedObjects.key, one.key)));
  for (const { key, problem, content, digests } of findings) {
    await tx
      .insert(damagedObjects)
      .values({ storeId, key, problem, content, digests })
      .onConflictDoUpdate({ target: [damagedObjects.storeId, damagedObjects.key], set: { problem, content, digests } });
  }
  await markDamaged(tx, storeId);
  return findings.filter(({ key }) => !known.some((one) => one.key === key));
}

/** The tree needs these objects no more. */
export async function strikeDamage(tx: Database, storeId: string, digest: string): Promise<void> {
  await tx
    .update(damagedObjects)
    .set({ digests: sql`array_remove(${damagedObjects.digests}, ${digest})` })
    .where(eq(damagedObjects.storeId, storeId));
  await markDamaged(tx, storeId);
}

/** Objects that are gone are damaged no more. */
export async function forgetDamage(tx: Database, storeId: string, key: string): Promise<void> {
  await tx.delete(damagedObjects).where(and(eq(damagedObjects.storeId, storeId), eq(damagedObjects.key, key)));
}

async function markDamaged(tx: Database, storeId: string): Promise<void> {
  const about = sql`(select string_agg(d.key || ': ' || d.problem, ' ' order by d.key) from (
    select key, problem from ${damagedObjects} where ${damagedObjects.storeId} = ${storeId} and ${versions.digest} = any(${damagedObjects.digests}) order by key limit 3) d)`;
  const hurt = sql`exists (select 1 from ${damagedObjects} where ${damagedObjects.storeId} = ${storeId} and ${versions.digest} = any(${damagedObjects.digests}))`;
  await tx
    .update(versions)
    .set({ damagedAt: sql`coalesce(${versions.damagedAt}, now())`, damage: about })
    .where(and(eq(versions.storeId, storeId), hurt));
  await tx
    .update(versions)
    .set({ damagedAt: null, damage: null })
    .where(and(eq(versions.storeId, storeId), isNotNull(versions.damagedAt), sql`not ${hurt}`));
}

/** Hosts that report an image in their cache, those that reported last first. */
export async function hostsWithImage(db: Database, digest: string): Promise<Array<{ id: string; name: string }>> {
  return db
    .select({ id: hosts.id, name: hosts.name })
    .from(hosts)
    .where(
      and(
        eq(hosts.enabled, true),
        sql`${hosts.cached} @> ${JSON.stringify([{ digest }])}::jsonb`,
        sql`${hosts.lastReportAt} > now() - interval '30 seconds'`,
      ),
    )
    .orderBy(sql`${hosts.lastReportAt} desc`);
}
