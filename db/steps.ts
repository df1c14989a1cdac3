/**
 * The steps of operations, as workflows and hosts tell them.
 *
 * The one idea: a step that ended does not open again by a late word. Only its workflow opens it, and that is counted: by its next attempt (`running`), or
 * by announcing it at a later position, as the second placement of a machine does with every step of the first.
 */
import { and, asc, eq, sql } from "drizzle-orm";
import type { StepState } from "../domain/operations/rules.ts";
import { Step, type FaultRecord, type Progress } from "../domain/operations/schema.ts";
import type { Database } from "./connect.ts";
import { steps } from "./schema.ts";

export interface ToldStep {
  readonly name: string;
  readonly position: number;
  readonly state: StepState;
  readonly fault?: FaultRecord | undefined;
}

export async function listSteps(db: Database, operationId: string): Promise<Step[]> {
  const rows = await db.select().from(steps).where(eq(steps.operationId, operationId)).orderBy(asc(steps.position), asc(steps.name));
  return rows.map((row) => Step.parse(row));
}

/** Writes what a workflow tells. The same again changes nothing: a step counts as tried again only when it had stopped. */
export async function writeStep(db: Database, operationId: string, { name, position, state, fault }: ToldStep): Promise<boolean> {
  const ended = ["done", "skipped", "failed", "cancelled"].includes(state);
  const began = state === "running" || ended;
  const written = await db
    .insert(steps)
    .values({
      operationId,
      name,
      position,
      state,
      fault: fault ?? null,
      startedAt: began ? sql`now()` : null,
      endedAt: ended ? sql`now()` : null,
    })
    .onConflictDoUpdate({
      target: [steps.operationId, steps.name],
      set: {
        state,
        position,
        fault: fault ?? null,
        attempt: state === "pending" || state === "running" ? sql`${steps.attempt} + ${beganBefore}::int` : sql`${steps.attempt}`,
        startedAt: began ? sql`coalesce(${steps.startedAt}, now())` : sql`${steps.startedAt}`,
        endedAt: ended ? sql`coalesce(${steps.endedAt}, now())` : null,
        ...(state === "pending" ? { progress: null } : {}),
      },
      setWhere: state === "pending" ? sql`${steps.position} < ${position}` : sql`${steps.state} <> ${state} and ${mayBecome(state)}`,
    })
    .returning({ name: steps.name });
  return written.length === 1;
}

const beganBefore = sql`(${steps.state} <> 'pending')`;

/** `running` begins a new attempt, of whatever came before; what is done or left out stays so. */
function mayBecome(state: StepState) {
  return state === "running" ? sql`true` : sql`${steps.state} not in ('done', 'skipped')`;
}

/** How far the hub's own work is; of a step that ended, nothing. */
export async function writeProgress(db: Database, operationId: string, name: string, progress: Progress): Promise<void> {
  const running = and(eq(steps.operationId, operationId), eq(steps.name, name), eq(steps.state, "running"));
  await db.update(steps).set({ progress }).where(running);
}

/** Steps that were under way when their operation ended otherwise. */
export async function closeSteps(db: Database, operationId: string, state: "failed" | "cancelled"): Promise<void> {
  await db
    .update(steps)
    .set({ state, endedAt: sql`now()` })
    .where(sql`${steps.operationId} = ${operationId} and ${steps.state} in ('running', 'parked')`);
}
