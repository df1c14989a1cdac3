/**
 * Which user a subject of an issuer is, and which tokens of others were exchanged already.
 *
 * The one idea: what may happen once only is an insert, and the database tells who was first.
 */
import { and, eq, sql } from "drizzle-orm";
import { createHash } from "node:crypto";
import type { Database } from "./connect.ts";
import { exchangedTokens, identities, identityProviders } from "./schema.ts";

export type Identity = typeof identities.$inferSelect;

/** Until the transaction ends nobody else looks at this subject: two first logins at once make one user. */
export async function lockSubject(tx: Database, issuer: string, subject: string): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended(${`identity ${issuer} ${subject}`}, 0))`);
}

export async function findIdentity(db: Database, issuer: string, subject: string): Promise<Identity | null> {
  const [row] = await db
    .select()
    .from(identities)
    .where(and(eq(identities.issuer, issuer), eq(identities.subject, subject)));
  return row ?? null;
}

/** Whether the user is a person of this issuer under any subject. */
export async function hasIdentity(db: Database, issuer: string, userId: string): Promise<boolean> {
  const found = await db
    .select({ id: identities.id })
    .from(identities)
    .where(and(eq(identities.issuer, issuer), eq(identities.userId, userId)));
  return found.length > 0;
}

/** `roles`: those that the user has by the groups of this login. */
export async function keepIdentity(
  db: Database,
  { issuer, subject, userId, roles }: Pick<Identity, "issuer" | "subject" | "userId" | "roles">,
): Promise<Identity> {
  const [row] = await db
    .insert(identities)
    .values({ id: crypto.randomUUID(), issuer, subject, userId, roles, lastLoginAt: sql`now()` })
    .onConflictDoUpdate({ target: [identities.issuer, identities.subject], set: { roles, lastLoginAt: sql`now()` } })
    .returning();
  if (!row) throw new Error("An identity that was just written is not there.");
  return row;
}

/** Whether a login by this identity may go on: the user is still it, and its provider is still believed. */
export async function isBelieved(db: Database, identityId: string, userId: string): Promise<boolean> {
  const found = await db
    .select({ id: identities.id })
    .from(identities)
    .innerJoin(identityProviders, eq(identityProviders.issuer, identities.issuer))
    .where(and(eq(identities.id, identityId), eq(identities.userId, userId)));
  return found.length === 1;
}

/** `false`: a token of this name was exchanged before. `name` is what the issuer never gives twice. */
export async function takeOnce(tx: Database, issuer: string, name: string, until: Date): Promise<boolean> {
  const id = createHash("sha256").update(`${issuer}\n${name}`).digest("hex");
  const written = await tx
    .insert(exchangedTokens)
    .values({ id, expiresAt: until })
    .onConflictDoNothing()
    .returning({ id: exchangedTokens.id });
  return written.length === 1;
}

/** Those whose token has ended: it is refused for that. */
export async function dropExchanged(db: Database): Promise<void> {
  await db.delete(exchangedTokens).where(sql`${exchangedTokens.expiresAt} < now()`);
}
