/**
 * Roles and claims as rows, and the seeding of both.
 *
 * The one idea: seeding only adds. What an administrator changed in an editable role stays; a locked one gets its claims back at each start.
 */
import { asc, eq, inArray, sql } from "drizzle-orm";
import { seededClaims, seededRoles } from "../domain/access/claims.ts";
import type { Database } from "./connect.ts";
import { claims, roles } from "./schema.ts";

export type Role = typeof roles.$inferSelect;
export type Claim = typeof claims.$inferSelect;

export async function seedRoles(db: Database): Promise<void> {
  await db
    .insert(claims)
    .values(seededClaims.map((claim) => ({ ...claim, internal: true })))
    .onConflictDoNothing();
  for (const role of seededRoles) {
    const values = { ...role, claims: [...role.claims] };
    const adding = sql`(select coalesce(array_agg(distinct claim), '{}') from unnest(${roles.claims} || excluded.claims) as claim)`;
    await db
      .insert(roles)
      .values(values)
      .onConflictDoUpdate({ target: roles.id, set: { claims: adding } });
  }
}

export const listRoles = (db: Database): Promise<Role[]> => db.select().from(roles).orderBy(asc(roles.id));
export const listClaims = (db: Database): Promise<Claim[]> => db.select().from(claims).orderBy(asc(claims.id));

export async function findRole(db: Database, id: string): Promise<Role | null> {
  const [role] = await db.select().from(roles).where(eq(roles.id, id));
  return role ?? null;
}

/** The ids of the list that no row has. */
export async function unknownRoles(db: Database, ids: readonly string[]): Promise<string[]> {
  const found =
    ids.length === 0
      ? []
      : await db
          .select({ id: roles.id })
          .from(roles)
          .where(inArray(roles.id, [...ids]));
  return ids.filter((id) => !found.some((row) => row.id === id));
}
export async function unknownClaims(db: Database, ids: readonly string[]): Promise<string[]> {
  const found =
    ids.length === 0
      ? []
      : await db
          .select({ id: claims.id })
          .from(claims)
          .where(inArray(claims.id, [...ids]));
  return ids.filter((id) => !found.some((row) => row.id === id));
}
