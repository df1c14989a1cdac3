/**
 * Operations as the wire's jobs: those that nobody deleted, under the words that their request used.
 *
 * The one idea: deleting a job only hides it; the operation stays as memory until its retention ends.
 */
import { and, desc, eq, inArray } from "drizzle-orm";
import { z } from "zod";
import { settledStates } from "../domain/operations/rules.ts";
import { Operation } from "../domain/operations/schema.ts";
import type { Database } from "./connect.ts";
import { recordEvent } from "./events.ts";
import { operations } from "./schema.ts";

/** Kept in the operation's input under `job`. */
export const JobWords = z.object({ type: z.string(), operation: z.string() });
export type JobWords = z.infer<typeof JobWords>;

export interface JobRow {
  readonly operation: Operation;
  readonly actorId: string;
  /** Null: its request had no words of its own. */
  readonly words: JobWords | null;
  /** What whoever asked for it calls it; null where they gave it no name. */
  readonly givenId: string | null;
}

const parsed = (row: typeof operations.$inferSelect): JobRow => ({
  operation: Operation.parse(row),
  actorId: row.actorId,
  givenId: row.givenJobId,
  words: JobWords.nullable()
    .catch(null)
    .parse(row.input["job"] ?? null),
});

/** `actorId`: only those of one user. */
export interface JobScope {
  readonly project: string;
  readonly actorId?: string | undefined;
}
const within = ({ project, actorId }: JobScope) => [
  eq(operations.project, project),
  eq(operations.hidden, false),
  actorId === undefined ? undefined : eq(operations.actorId, actorId),
];

/** Newest first. */
export async function listJobs(db: Database, scope: JobScope, limit: number): Promise<JobRow[]> {
  const rows = await db
    .select()
    .from(operations)
    .where(and(...within(scope)))
    .orderBy(desc(operations.createdAt), desc(operations.id))
    .limit(limit);
  return rows.map(parsed);
}

/** `evenHidden`: whether one that was deleted is found too. */
export async function findJob(db: Database, operationId: string, { evenHidden = false } = {}): Promise<JobRow | null> {
  const shown = evenHidden ? undefined : eq(operations.hidden, false);
  const [row] = await db
    .select()
    .from(operations)
    .where(and(eq(operations.id, operationId), shown));
  return row ? parsed(row) : null;
}

/** By the name that this user gave it: those of others are nobody's business, whatever they are called. */
export async function findGivenJob(db: Database, { actorId, givenId }: { actorId: string; givenId: string }): Promise<JobRow | null> {
  const [row] = await db
    .select()
    .from(operations)
    .where(and(eq(operations.actorId, actorId), eq(operations.givenJobId, givenId), eq(operations.hidden, false)))
    .orderBy(desc(operations.createdAt), desc(operations.id))
    .limit(1);
  return row ? parsed(row) : null;
}

/** Hides one job, or all that have ended. */
export async function hideJobs(db: Database, scope: JobScope, operationId?: string): Promise<void> {
  const meant = operationId === undefined ? inArray(operations.state, [...settledStates]) : eq(operations.id, operationId);
  await db.transaction(async (tx) => {
    const hidden = await tx
      .update(operations)
      .set({ hidden: true })
      .where(and(...within(scope), meant))
      .returning({ id: operations.id, project: operations.project });
    for (const { id, project } of hidden)
      await recordEvent(tx, { type: "operation", name: "operation.hidden", subjectId: id, operationId: id, project });
  });
}
