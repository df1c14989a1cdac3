/**
 * Users: found by id, name or e-mail in any case, with the claims that they hold at this moment.
 *
 * The one idea: effective claims are read with the user in one statement, so a change of rights or the end of a user acts on the very next request.
 */
import { and, asc, eq, inArray, or, sql } from "drizzle-orm";
import { seededClaimIds, superUserRole } from "../domain/access/claims.ts";
import { User } from "../domain/access/schema.ts";
import { defaultProject, type Reader } from "../domain/access/rules.ts";
import type { Database } from "./connect.ts";
import { operations, projects, roles, users } from "./schema.ts";

export interface UserRow extends User {
  readonly project: string;
  readonly passwordHash: string | null;
  readonly isSuperUser: boolean;
  /** For each role that the user has: its claims. */
  readonly inherited: Readonly<Record<string, string[]>>;
}

export interface NewUser {
  readonly id: string;
  readonly project?: string;
  readonly username: string;
  readonly name: string;
  readonly email: string;
  readonly passwordHash: string | null;
  readonly roles: readonly string[];
  readonly claims: readonly string[];
}

const selected = {
  user: users,
  inherited: sql<Record<
    string,
    string[]
  > | null>`(select jsonb_object_agg(${roles.id}, to_jsonb(${roles.claims})) from ${roles} where ${roles.id} = any(${users.roles}))`,
};

/** By id, user name or e-mail address, in any case. */
export async function findUser(db: Database, word: string): Promise<UserRow | null> {
  const same = (column: typeof users.id | typeof users.username | typeof users.email) => sql`lower(${column}) = lower(${word})`;
  const [row] = await db
    .select(selected)
    .from(users)
    .where(or(same(users.id), same(users.username), same(users.email)))
    .limit(1);
  return row ? whole(row) : null;
}

/** What the user may see at this moment; null when there is none. */
export async function findReader(db: Database, id: string): Promise<Reader | null> {
  const user = await findUser(db, id);
  if (!user || user.id !== id) return null;
  const { project, roles, effectiveClaims: claims, isSuperUser } = user;
  return { userId: id, project, roles, claims, isSuperUser };
}

export async function listUsers(db: Database): Promise<UserRow[]> {
  return (await db.select(selected).from(users).orderBy(asc(users.createdAt), asc(users.id))).map(whole);
}

/** `null`: the name or the address is taken. */
export async function createUser(db: Database, user: NewUser): Promise<UserRow | null> {
  const made = await db
    .insert(users)
    .values({ ...user, roles: [...user.roles], claims: [...user.claims] })
    .onConflictDoNothing()
    .returning({ id: users.id });
  return made.length === 1 ? findUser(db, user.id) : null;
}

export type UserChanges = Partial<Pick<typeof users.$inferInsert, "project" | "name" | "email" | "passwordHash" | "roles" | "claims">>;

/** `false`: another user has the address. */
export async function changeUser(db: Database, id: string, changes: UserChanges): Promise<boolean> {
  const { email } = changes;
  const taken = email === undefined ? null : await findUser(db, email);
  if (taken && taken.id !== id) return false;
  await db
    .update(users)
    .set({ ...changes, updatedAt: sql`now()` })
    .where(eq(users.id, id));
  return true;
}

/** `false`: the password was changed meanwhile. */
export async function renewPassword(db: Database, id: string, from: string, to: string): Promise<boolean> {
  const same = and(eq(users.id, id), eq(users.passwordHash, from));
  return (await db.update(users).set({ passwordHash: to }).where(same).returning({ id: users.id })).length === 1;
}

/** One word more or less, in one statement: two who change the same user lose nothing of each other. */
export async function addRight(db: Database, id: string, list: "roles" | "claims", word: string): Promise<void> {
  const column = users[list];
  await db
    .update(users)
    .set({ [list]: sql`array_append(array_remove(${column}, ${word}), ${word})`, updatedAt: sql`now()` })
    .where(eq(users.id, id));
}
export async function removeRight(db: Database, id: string, list: "roles" | "claims", word: string): Promise<void> {
  await db
    .update(users)
    .set({ [list]: sql`array_remove(${users[list]}, ${word})`, updatedAt: sql`now()` })
    .where(eq(users.id, id));
}

export async function removeUser(db: Database, id: string): Promise<boolean> {
  return (await db.delete(users).where(eq(users.id, id)).returning({ id: users.id })).length === 1;
}

export const rootName = "root";

/** Makes root where there is none; a hash replaces its password and lets it log in at once. */
export async function ensureRoot(db: Database, { id, passwordHash }: { id: string; passwordHash: string | null }): Promise<void> {
  await db.insert(projects).values({ id: defaultProject }).onConflictDoNothing();
  const root = {
    id,
    username: rootName,
    name: "Root",
    email: "root@localhost",
    passwordHash,
    roles: [superUserRole],
    claims: [...seededClaimIds],
  };
  await db.insert(users).values(root).onConflictDoNothing();
  const renewed = passwordHash === null ? {} : { passwordHash };
  await db
    .update(users)
    .set({ ...renewed, claims: [...seededClaimIds], roles: [superUserRole] })
    .where(eq(sql`lower(${users.username})`, rootName));
}

function whole(row: { user: typeof users.$inferSelect; inherited: Record<string, string[]> | null }): UserRow {
  const { user } = row;
  const inherited = row.inherited ?? {};
  const effectiveClaims = [...new Set([...user.claims, ...Object.values(inherited).flat()])];
  return {
    ...User.parse({ ...user, effectiveClaims }),
    project: user.project,
    passwordHash: user.passwordHash,
    isSuperUser: user.roles.includes(superUserRole),
    inherited,
  };
}

/** Who asked for these operations: users that are gone are left out. */
export async function askersOf(
  db: Database,
  operationIds: readonly string[],
): Promise<Map<string, { id: string; name: string; email: string }>> {
  if (operationIds.length === 0) return new Map();
  const rows = await db
    .select({ operationId: operations.id, id: users.id, name: users.name, email: users.email })
    .from(operations)
    .innerJoin(users, eq(users.id, operations.actorId))
    .where(inArray(operations.id, [...operationIds]));
  return new Map(rows.map(({ operationId, ...user }) => [operationId, user]));
}
