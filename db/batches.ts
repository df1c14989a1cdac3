/**
 * Batches: operations that one workflow carries out together for as long as all goes well.
 *
 * The one idea: each operation of a batch keeps the intent of a workflow of its own, which names the batch. Whoever takes the name away lets the operation
 * fall out: from then on the batch may change nothing of it, and its own workflow is started like any other.
 */
import { and, asc, eq, inArray, sql } from "drizzle-orm";
import type { Operation } from "../domain/operations/schema.ts";
import { Operation as OperationShape } from "../domain/operations/schema.ts";
import type { Database } from "./connect.ts";
import type { Intent } from "./intents.ts";
import { hosts, intents, machines, operations } from "./schema.ts";

/** The batch that an intent waits for; null of one that is to be started. */
export const batchOf = sql<string | null>`${intents.workflowInput}->>'batch'`;

export interface BatchedRow {
  readonly operation: Operation;
  readonly input: Readonly<Record<string, unknown>>;
  readonly requestId: string | null;
}

/** Those of the batch that have not fallen out, locked in one order until the caller's transaction ends; one that is being cancelled is not among them. */
export async function lockBatch(tx: Database, batch: string, operationIds?: readonly string[]): Promise<BatchedRow[]> {
  const named = operationIds === undefined ? undefined : inArray(operations.id, [...operationIds]);
  const found = await tx
    .select({ row: operations })
    .from(operations)
    .innerJoin(intents, eq(intents.operationId, operations.id))
    .where(and(sql`${batchOf} = ${batch}`, named, inArray(operations.state, ["pending", "running"])))
    .orderBy(asc(operations.id))
    .for("update");
  return found.map(({ row }) => ({ operation: OperationShape.parse(row), input: row.input, requestId: row.requestId }));
}

/** The batch in which the operation is made; null when it has a workflow of its own, or will have. */
export async function findBatch(db: Database, operationId: string): Promise<string | null> {
  const [found] = await db
    .select({ batch: batchOf })
    .from(intents)
    .where(and(eq(intents.operationId, operationId), sql`${batchOf} is not null`));
  return found?.batch ?? null;
}

export type Leaving = { readonly batch: string; readonly operationIds?: readonly string[] } | { readonly operationIds: readonly string[] };

/**
 * Lets operations fall out of their batch; answers the intents of those that were in one. What stands of them on a host is told to their own workflow, so that
 * its undo finds it.
 */
export async function leaveBatch(tx: Database, leaving: Leaving): Promise<Intent[]> {
  const whole = "batch" in leaving ? sql`${batchOf} = ${leaving.batch}` : sql`${batchOf} is not null`;
  const named = leaving.operationIds === undefined ? undefined : inArray(operations.id, [...leaving.operationIds]);
  // The operation's row first, as everywhere.
  const rows = await tx
    .select({ id: operations.id, machineId: operations.machineId })
    .from(operations)
    .innerJoin(intents, eq(intents.operationId, operations.id))
    .where(and(whole, named))
    .orderBy(asc(operations.id))
    .for("update");
  if (rows.length === 0) return [];
  const standing = sql`coalesce((select jsonb_build_object('standing', jsonb_build_object('hostId', m.host_id, 'epoch', m.epoch)) from ${operations} o
    join ${machines} m on m.id = o.machine_id where o.id = ${intents.operationId} and m.host_id is not null and m.retired_at is null), '{}'::jsonb)`;
  return tx
    .update(intents)
    .set({ workflowInput: sql`(${intents.workflowInput} - 'batch') || ${standing}`, createdAt: sql`now()` })
    .where(
      inArray(
        intents.operationId,
        rows.map(({ id }) => id),
      ),
    )
    .returning({ operationId: intents.operationId, workflowType: intents.workflowType, workflowInput: intents.workflowInput });
}

/** Operations that their batch will not bring further: they are being cancelled, or their host is lost. */
export async function strayFromBatches(db: Database, limit: number): Promise<string[]> {
  const rows = await db
    .select({ id: operations.id })
    .from(intents)
    .innerJoin(operations, eq(operations.id, intents.operationId))
    .leftJoin(hosts, eq(hosts.id, operations.hostId))
    .where(and(sql`${batchOf} is not null`, sql`(${operations.state} = 'cancelling' or ${hosts.toldState} = 'lost')`))
    .limit(limit);
  return rows.map(({ id }) => id);
}

/** Batches that began so long ago that their workflow must be there. */
export async function batchesUnderWay(db: Database, olderThanMs: number): Promise<string[]> {
  const rows = await db
    .selectDistinct({ batch: sql<string>`${batchOf}` })
    .from(intents)
    .where(sql`${batchOf} is not null and ${intents.createdAt} < clock_timestamp() - make_interval(secs => ${olderThanMs / 1000})`);
  return rows.map(({ batch }) => batch);
}

/** Draws the number of a new attempt for each operation of the batch that is on this host and has not fallen out. */
export async function drawFences(
  db: Database,
  { batch, hostId, operationIds }: { batch: string; hostId: string; operationIds: readonly string[] },
): Promise<Record<string, number>> {
  const rows = await db.transaction(async (tx) => {
    const theirs = (await lockBatch(tx, batch, operationIds)).filter(({ operation }) => operation.hostId === hostId);
    if (theirs.length === 0) return [];
    const ids = theirs.map(({ operation }) => operation.id);
    return tx
      .update(operations)
      .set({ fence: sql`greatest(nextval('fences'), (extract(epoch from clock_timestamp()) * 1000000)::bigint)` })
      .where(inArray(operations.id, ids))
      .returning({ id: operations.id, fence: operations.fence });
  });
  return Object.fromEntries(rows.map(({ id, fence }) => [id, fence]));
}
