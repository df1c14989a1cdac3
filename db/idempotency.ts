/**
 * Idempotency keys: the same request again is the same operation.
 *
 * The one idea: the key's row is the first write of the request's transaction. A twin waits at the primary key until that transaction has ended, and then finds it.
 */
import { createHash } from "node:crypto";
import { and, eq, sql } from "drizzle-orm";
import { FaultError } from "../domain/errors.ts";
import type { Database } from "./connect.ts";
import { idempotencyKeys } from "./schema.ts";

export interface IdempotentRequest {
  readonly caller: string;
  readonly route: string;
  readonly key: string;
  /** The header that the key came in. */
  readonly header?: string;
  readonly body: unknown;
}

/** Claims the key for `operationId`; answers the operation of an earlier claim of the last 24 h instead, or refuses another body. */
export async function claimKey(
  tx: Database,
  { caller, route, key, header = "Idempotency-Key", body }: IdempotentRequest,
  operationId: string,
): Promise<string | null> {
  const requestHash = hashOf(body);
  const { caller: byCaller, route: byRoute, key: byKey, createdAt } = idempotencyKeys;
  const claimed = await tx
    .insert(idempotencyKeys)
    .values({ caller, route, key, requestHash, operationId })
    .onConflictDoUpdate({
      target: [byCaller, byRoute, byKey],
      set: { requestHash, operationId, createdAt: sql`now()` },
      setWhere: sql`${createdAt} < now() - interval '24 hours'`,
    })
    .returning({ operationId: idempotencyKeys.operationId });
  if (claimed.length === 1) return null;
  const [earlier] = await tx
    .select()
    .from(idempotencyKeys)
    .where(and(eq(byCaller, caller), eq(byRoute, route), eq(byKey, key)));
  if (!earlier) return null;
  if (earlier.requestHash !== requestHash) {
    throw new FaultError({
      code: "idempotency_conflict",
      message: `The ${header} was used for another ${route} request.`,
      subject: route,
    });
  }
  return earlier.operationId;
}

/** The request turned out to ask for an operation that exists: the same again then finds that one. */
export async function pointKey(tx: Database, { caller, route, key }: IdempotentRequest, operationId: string): Promise<void> {
  const same = and(eq(idempotencyKeys.caller, caller), eq(idempotencyKeys.route, route), eq(idempotencyKeys.key, key));
  await tx.update(idempotencyKeys).set({ operationId }).where(same);
}

/** Drops keys that no longer count; answers how many. */
export async function dropOldKeys(db: Database): Promise<number> {
  const dropped = await db
    .delete(idempotencyKeys)
    .where(sql`${idempotencyKeys.createdAt} < now() - interval '24 hours'`)
    .returning({ key: idempotencyKeys.key });
  return dropped.length;
}

/** Of the body with its keys in order, so that two spellings of one request are one. */
function hashOf(body: unknown): string {
  return createHash("sha256")
    .update(JSON.stringify(ordered(body)) ?? "")
    .digest("hex");
}

function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered);
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, ordered(inner)]),
  );
}
