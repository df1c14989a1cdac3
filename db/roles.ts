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

/** `false`: there is one already. */
export async function createRole(db: Database, id: string, claimIds: readonly string[]): Promise<boolean> {
  return (
    (
      await db
        .insert(roles)
        .values({ id, claims: [...claimIds] })
        .onConflictDoNothing()
        .returning({ id: roles.id })
    ).length === 1
  );
}
export async function createClaim(db: Database, id: string): Promise<boolean> {
  return (await db.insert(claims).values({ id }).onConflictDoNothing().returning({ id: claims.id })).length === 1;
}

export async function setRoleClaims(db: Database, id: string, claimIds: readonly string[]): Promise<void> {
  await db
    .update(roles)
    .set({ claims: [...claimIds] })
    .where(eq(roles.id, id));
}

/** Its holders lose it with it. */
export async function removeRole(db: Database, id: string): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.execute(sql`update users set roles = array_remove(roles, ${id}) where ${id} = any(roles)`);
    await tx.delete(roles).where(eq(roles.id, id));
  });
}
export async function removeClaim(db: Database, id: string): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.execute(sql`update roles set claims = array_remove(claims, ${id}) where ${id} = any(claims)`);
    await tx.delete(claims).where(eq(claims.id, id));
  });
}

export async function findClaim(db: Database, id: string): Promise<Claim | null> {
  const [claim] = await db.select().from(claims).where(eq(claims.id, id));
  return claim ?? null;
}
