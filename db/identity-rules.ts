/** Rules for workloads: each names an issuer, what its token must say, and the user whom such a workload acts as. */
import { asc, eq, getTableColumns, or, sql } from "drizzle-orm";
import { IdentityRule, type NewIdentityRule } from "../domain/access/identity.ts";
import { FaultError } from "../domain/errors.ts";
import type { Database } from "./connect.ts";
import { identityRules as rules, users } from "./schema.ts";

const selected = { ...getTableColumns(rules), username: users.username };
const told = ({ lifetimeMs, ...row }: typeof rules.$inferSelect & { username: string }): IdentityRule =>
  IdentityRule.parse({ ...row, lifetimeSeconds: lifetimeMs / 1000 });

/** Oldest first, which is the order in which equals count. */
export async function listIdentityRules(db: Database, issuer?: string): Promise<IdentityRule[]> {
  const rows = await db
    .select(selected)
    .from(rules)
    .innerJoin(users, eq(users.id, rules.userId))
    .where(issuer === undefined ? undefined : eq(rules.issuer, issuer))
    .orderBy(asc(rules.createdAt), asc(rules.id));
  return rows.map(told);
}

export async function findIdentityRule(db: Database, idOrName: string): Promise<IdentityRule> {
  const same = or(sql`${rules.id}::text = lower(${idOrName})`, sql`lower(${rules.name}) = lower(${idOrName})`);
  const [row] = await db.select(selected).from(rules).innerJoin(users, eq(users.id, rules.userId)).where(same).limit(1);
  if (row) return told(row);
  throw new FaultError({ code: "identity_rule_not_found", message: `There is no identity rule ${idOrName}.`, subject: idOrName });
}

export async function insertIdentityRule(
  db: Database,
  wanted: Omit<NewIdentityRule, "user">,
  { userId, createdBy }: { userId: string; createdBy: string },
): Promise<IdentityRule> {
  const { name, issuer, audience, conditions, lifetimeSeconds } = wanted;
  const values = { id: crypto.randomUUID(), name, issuer, audience, conditions, userId, createdBy, lifetimeMs: lifetimeSeconds * 1000 };
  const made = await db.insert(rules).values(values).onConflictDoNothing().returning({ id: rules.id });
  if (made.length === 1) return findIdentityRule(db, values.id);
  throw new FaultError({
    code: "identity_rule_exists",
    message: `There is an identity rule ${wanted.name} already.`,
    subject: wanted.name,
  });
}

export async function removeIdentityRule(db: Database, id: string): Promise<void> {
  await db.delete(rules).where(eq(rules.id, id));
}

/** Whether the rule still lets this user's workloads in. */
export async function ruleHolds(db: Database, id: string, userId: string): Promise<boolean> {
  const [row] = await db.select({ userId: rules.userId }).from(rules).where(eq(rules.id, id));
  return row?.userId === userId;
}
