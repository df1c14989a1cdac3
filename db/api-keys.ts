/**
 * API keys: found by id, name or key in any case; only a hash of the secret is kept.
 *
 * The one idea: whether a key has expired is told by the database's clock, together with the row.
 */
import { and, asc, eq, getTableColumns, or, sql } from "drizzle-orm";
import type { Database } from "./connect.ts";
import { apiKeys } from "./schema.ts";

export type ApiKey = typeof apiKeys.$inferSelect & { readonly expired: boolean };
export type NewApiKey = Pick<ApiKey, "id" | "name" | "key" | "secretHash" | "userId" | "expiresAt" | "claims">;

const selected = { ...getTableColumns(apiKeys), expired: sql<boolean>`coalesce(${apiKeys.expiresAt} <= now(), false)` };

export async function findApiKey(db: Database, word: string): Promise<ApiKey | null> {
  const same = [
    sql`${apiKeys.id}::text = lower(${word})`,
    sql`lower(${apiKeys.key}) = lower(${word})`,
    sql`lower(${apiKeys.name}) = lower(${word})`,
  ];
  const [row] = await db
    .select(selected)
    .from(apiKeys)
    .where(or(...same))
    .limit(1);
  return row ?? null;
}

/** Of a token, whose key no other key's name can stand for. */
export async function findApiKeyById(db: Database, id: string): Promise<ApiKey | null> {
  const [row] = await db
    .select(selected)
    .from(apiKeys)
    .where(sql`${apiKeys.id}::text = lower(${id})`);
  return row ?? null;
}

export const listApiKeys = (db: Database): Promise<ApiKey[]> =>
  db.select(selected).from(apiKeys).orderBy(asc(apiKeys.createdAt), asc(apiKeys.id));

/** `null`: the name is taken. */
export async function createApiKey(db: Database, key: NewApiKey): Promise<ApiKey | null> {
  const made = await db.insert(apiKeys).values(key).onConflictDoNothing().returning({ id: apiKeys.id });
  return made.length === 1 ? findApiKey(db, key.id) : null;
}

/** The same secret under another hash. */
export async function renewSecret(db: Database, id: string, from: string, to: string): Promise<void> {
  await db
    .update(apiKeys)
    .set({ secretHash: to })
    .where(and(eq(apiKeys.id, id), eq(apiKeys.secretHash, from)));
}

export async function revokeApiKey(db: Database, id: string): Promise<void> {
  await db
    .update(apiKeys)
    .set({ revokedAt: sql`coalesce(${apiKeys.revokedAt}, now())` })
    .where(eq(apiKeys.id, id));
}
export async function removeApiKey(db: Database, id: string): Promise<void> {
  await db.delete(apiKeys).where(eq(apiKeys.id, id));
}
