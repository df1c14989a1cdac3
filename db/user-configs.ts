/**
 * What clients keep for their users: small values under a name of their own.
 *
 * The one idea: a user reaches only its own, by id or by slug in any case; writing one that is there replaces it. Values come and go sealed.
 */
import { and, asc, eq, or, sql } from "drizzle-orm";
import type { Database } from "./connect.ts";
import { userConfigs } from "./schema.ts";

export type UserConfig = typeof userConfigs.$inferSelect;
export type UserConfigValues = Pick<UserConfig, "name" | "type" | "sealed">;

export const listUserConfigs = (db: Database, userId: string): Promise<UserConfig[]> =>
  db.select().from(userConfigs).where(eq(userConfigs.userId, userId)).orderBy(asc(userConfigs.createdAt), asc(userConfigs.id));

export async function findUserConfig(db: Database, userId: string, word: string): Promise<UserConfig | null> {
  const same = or(sql`${userConfigs.id}::text = lower(${word})`, sql`lower(${userConfigs.slug}) = lower(${word})`);
  const [row] = await db
    .select()
    .from(userConfigs)
    .where(and(eq(userConfigs.userId, userId), same))
    .limit(1);
  return row ?? null;
}

/** `made`: there was none of this slug before. */
export async function writeUserConfig(
  db: Database,
  { userId, slug }: Pick<UserConfig, "userId" | "slug">,
  values: UserConfigValues,
): Promise<{ config: UserConfig; made: boolean }> {
  const id = crypto.randomUUID();
  const [config] = await db
    .insert(userConfigs)
    .values({ id, userId, slug, value: "", ...values })
    .onConflictDoUpdate({
      target: [userConfigs.userId, userConfigs.slug],
      set: { ...values, value: "", updatedAt: sql`clock_timestamp()` },
    })
    .returning();
  if (!config) throw new Error("An insert that updates on conflict returned no row.");
  return { config, made: config.id === id };
}

export async function removeUserConfig(db: Database, id: string): Promise<void> {
  await db.delete(userConfigs).where(eq(userConfigs.id, id));
}
