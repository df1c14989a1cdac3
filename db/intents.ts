/** Intents: what was asked and whose workflow is not yet known to have started. A row here is a promise that the sweep keeps. */
import { asc, eq, sql } from "drizzle-orm";
import type { Database } from "./connect.ts";
import { intents } from "./schema.ts";

export interface Intent {
  readonly operationId: string;
  readonly workflowType: string;
  readonly workflowInput: Readonly<Record<string, unknown>>;
}

export async function insertIntent(db: Database, { operationId, workflowType, workflowInput }: Intent): Promise<void> {
  await db.insert(intents).values({ operationId, workflowType, workflowInput: { ...workflowInput } });
}

export async function insertIntents(db: Database, told: readonly Intent[]): Promise<void> {
  await db.insert(intents).values(told.map(({ workflowInput, ...intent }) => ({ ...intent, workflowInput: { ...workflowInput } })));
}

/** Changes the input of a workflow that is still to start. */
export async function changeIntent(tx: Database, operationId: string, changes: Readonly<Record<string, unknown>>): Promise<void> {
  await tx
    .update(intents)
    .set({ workflowInput: sql`${intents.workflowInput} || ${JSON.stringify(changes)}::jsonb` })
    .where(eq(intents.operationId, operationId));
}

export async function deleteIntent(db: Database, operationId: string): Promise<void> {
  await db.delete(intents).where(eq(intents.operationId, operationId));
}

/** Intents that have waited longer than a start takes; each attempt doubles the wait, up to 64 times, so that a broken one does not fill the pass. */
export async function dueIntents(db: Database, { olderThanMs, limit }: { olderThanMs: number; limit: number }): Promise<Intent[]> {
  const wait = sql`make_interval(secs => ${olderThanMs / 1000} * power(2, least(${intents.attempts}, 6)))`;
  return (
    db
      .select()
      .from(intents)
      // One that names a batch waits for what becomes of it there.
      .where(sql`${intents.createdAt} < clock_timestamp() - ${wait} and ${intents.workflowInput}->>'batch' is null`)
      .orderBy(asc(intents.createdAt))
      .limit(limit)
  );
}

export async function countAttempt(db: Database, operationId: string): Promise<void> {
  await db
    .update(intents)
    .set({ attempts: sql`${intents.attempts} + 1` })
    .where(eq(intents.operationId, operationId));
}
