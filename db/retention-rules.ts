/** Retention rules: one per catalog id, and one for all that have none of their own. */
import { and, asc, eq, sql } from "drizzle-orm";
import { randomUUID } from "node:crypto";
import { RetentionRule, type RetentionWish } from "../domain/catalog/care.ts";
import { judge, type Verdict } from "../domain/catalog/retention.ts";
import { ImageVersion } from "../domain/catalog/schema.ts";
import type { Database } from "./connect.ts";
import { imageVersions as versions, retentionRules as rules } from "./schema.ts";

/** In the row, where a null would not be unique. */
const stored = (catalogId: string | null): string => catalogId ?? "";
const told = (row: typeof rules.$inferSelect): RetentionRule =>
  RetentionRule.parse({ ...row, catalogId: row.catalogId === "" ? null : row.catalogId });

export async function listRules(db: Database, project: string): Promise<RetentionRule[]> {
  return (await db.select().from(rules).where(eq(rules.project, project)).orderBy(asc(rules.catalogId))).map(told);
}

export async function keepRule(
  db: Database,
  { project, catalogId, by, ...wish }: RetentionWish & { project: string; catalogId: string | null; by: string },
): Promise<RetentionRule> {
  const [row] = await db
    .insert(rules)
    .values({ id: randomUUID(), project, catalogId: stored(catalogId), createdBy: by, ...wish })
    .onConflictDoUpdate({ target: [rules.project, rules.catalogId], set: { ...wish, createdBy: by, updatedAt: sql`now()` } })
    .returning();
  if (!row) throw new Error("A rule that was just written is not there.");
  return told(row);
}

/** `false` when there was none. */
export async function dropRule(db: Database, project: string, catalogId: string | null): Promise<boolean> {
  const there = and(eq(rules.project, project), eq(rules.catalogId, stored(catalogId)));
  return (await db.delete(rules).where(there).returning({ id: rules.id })).length === 1;
}

export async function projectsWithRules(db: Database): Promise<string[]> {
  return (await db.selectDistinct({ project: rules.project }).from(rules)).map(({ project }) => project);
}

/** Judges every version that a rule is for, by the database's clock. */
export async function judgeVersions(db: Database, project: string, only?: string | null): Promise<Verdict<ImageVersion>[]> {
  const known = await listRules(db, project);
  const [clock] = await db.execute<{ now: string }>(sql`select clock_timestamp()::text as now`);
  const now = new Date(clock?.now ?? Date.now());
  const rows = await db
    .select()
    .from(versions)
    .where(and(eq(versions.project, project), only ? eq(versions.catalogId, only) : undefined));
  const byCatalogId = Map.groupBy(
    rows.map((row) => ImageVersion.parse(row)),
    (version) => version.catalogId,
  );
  return [...byCatalogId].flatMap(([catalogId, siblings]) => {
    const rule = known.find((one) => one.catalogId === catalogId) ?? known.find((one) => one.catalogId === null);
    return rule ? judge(siblings, rule, now) : [];
  });
}
