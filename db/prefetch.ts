/**
 * Prefetch policies: what is brought to which hosts, and what each did last.
 *
 * The one idea: a policy remembers what it began with, written in the transaction of the operation that it begins: so whoever looks at it starts nothing twice.
 */
import { and, asc, eq, sql } from "drizzle-orm";
import type { NewPrefetchPolicy } from "../domain/catalog/caching.ts";
import { PrefetchPolicy } from "../domain/catalog/caching.ts";
import type { Holder } from "../domain/catalog/rules.ts";
import { FaultError } from "../domain/errors.ts";
import { Uuid } from "../domain/ids.ts";
import type { Database } from "./connect.ts";
import { prefetchPolicies } from "./schema.ts";

/** A policy with what only the hub sees: in whose name it acts, and what it brought last. */
export interface PolicyRow {
  readonly policy: PrefetchPolicy;
  readonly holder: Holder;
  readonly createdById: string;
  readonly lastDigest: string | null;
}

export async function insertPolicy(
  tx: Database,
  wanted: NewPrefetchPolicy,
  by: { project: string; holder: Holder; createdBy: string; createdById: string },
): Promise<PrefetchPolicy> {
  const { everySeconds = null, ...rest } = wanted;
  const { catalogId, version, architecture } = wanted.image;
  const image = { catalogId, ...(version === undefined ? {} : { version }), ...(architecture === undefined ? {} : { architecture }) };
  const values = { ...rest, ...by, image, everySeconds, id: crypto.randomUUID() };
  const [row] = await tx.insert(prefetchPolicies).values(values).onConflictDoNothing().returning();
  if (row) return PrefetchPolicy.parse(row);
  throw new FaultError({
    code: "prefetch_policy_exists",
    message: `There is a prefetch policy named ${wanted.name} already.`,
    subject: wanted.name,
  });
}

export async function listPolicies(db: Database, project: string): Promise<PrefetchPolicy[]> {
  const rows = await db.select().from(prefetchPolicies).where(eq(prefetchPolicies.project, project)).orderBy(asc(prefetchPolicies.name));
  return rows.map((row) => PrefetchPolicy.parse(row));
}

export async function removePolicy(tx: Database, project: string, idOrName: string): Promise<PrefetchPolicy> {
  const id = Uuid.safeParse(idOrName);
  const named = id.success ? eq(prefetchPolicies.id, id.data) : sql`lower(${prefetchPolicies.name}) = lower(${idOrName})`;
  const [row] = await tx
    .delete(prefetchPolicies)
    .where(and(eq(prefetchPolicies.project, project), named))
    .returning();
  if (row) return PrefetchPolicy.parse(row);
  throw new FaultError({ code: "prefetch_policy_not_found", message: `There is no prefetch policy ${idOrName}.`, subject: idOrName });
}

/** Every policy of that kind, in the order in which they were made. */
export async function policiesOn(db: Database, on: PrefetchPolicy["on"]): Promise<PolicyRow[]> {
  const rows = await db.select().from(prefetchPolicies).where(eq(prefetchPolicies.on, on)).orderBy(asc(prefetchPolicies.createdAt));
  return rows.map(policyRow);
}

/** Null when it was removed meanwhile. */
export async function findPolicy(db: Database, id: string): Promise<PolicyRow | null> {
  const [row] = await db.select().from(prefetchPolicies).where(eq(prefetchPolicies.id, id));
  return row ? policyRow(row) : null;
}

const policyRow = (row: typeof prefetchPolicies.$inferSelect): PolicyRow => ({
  policy: PrefetchPolicy.parse(row),
  holder: row.holder,
  createdById: row.createdById,
  lastDigest: row.lastDigest,
});

/** Takes note of what the policy begins now. */
export async function policyStarts(
  tx: Database,
  id: string,
  { digest, operationId }: { digest: string; operationId: string },
): Promise<void> {
  await tx
    .update(prefetchPolicies)
    .set({ lastDigest: digest, lastOperationId: operationId, lastStartedAt: sql`now()`, problem: null })
    .where(eq(prefetchPolicies.id, id));
}

/** Tells people why it could not start. */
export async function policyFailed(db: Database, id: string, problem: string): Promise<void> {
  await db
    .update(prefetchPolicies)
    .set({ problem, lastStartedAt: sql`now()` })
    .where(eq(prefetchPolicies.id, id));
}
