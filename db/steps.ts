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

/**
 * Writes what a workflow tells, in its order, and answers of each whether it changed anything. The same again changes nothing: a step counts as tried again only
 * when it had stopped.
 */
export async function writeSteps(db: Database, operationId: string, told: readonly ToldStep[]): Promise<boolean[]> {
  const changed = told.map(() => false);
  for (const wave of waves(told)) {
    const rows = wave.map((index) => rowOf(told[index])).flatMap((row) => row ?? []);
    const names = new Set((await writeOnce(db, operationId, rows)).map(({ name }) => name));
    for (const index of wave) changed[index] = names.has(told[index]?.name ?? "");
  }
  return changed;
}

/** Indexes, each step once in a wave: one statement cannot change a row twice. */
function waves(told: readonly ToldStep[]): number[][] {
  const seen = new Map<string, number>();
  const found: number[][] = [];
  for (const [index, { name }] of told.entries()) {
    const wave = seen.get(name) ?? 0;
    seen.set(name, wave + 1);
    (found[wave] ??= []).push(index);
  }
  return found;
}

function rowOf(step: ToldStep | undefined) {
  if (!step) return null;
  const ended = isEnded(step.state);
  return { ...step, began: step.state === "running" || ended, ended };
}
type StepRow = NonNullable<ReturnType<typeof rowOf>>;

/**
 * `running` begins a new attempt, of whatever came before; an announcement opens only what stands at an earlier position; what is done or left out stays so
 * otherwise.
 */
const writeOnce = async (db: Database, operationId: string, rows: readonly StepRow[]) =>
  db.execute<{ name: string }>(sql`
    insert into steps (operation_id, name, position, state, fault, started_at, ended_at)
    select ${operationId}::uuid, t.name, t.position, t.state, t.fault, case when t.began then now() end, case when t.ended then now() end
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as t(name text, position int, state text, fault jsonb, began boolean, ended boolean)
    on conflict (operation_id, name) do update set
      state = excluded.state,
      position = excluded.position,
      fault = excluded.fault,
      attempt = steps.attempt + (excluded.state in ('pending', 'running') and steps.state <> 'pending')::int,
      started_at = case when excluded.started_at is null then steps.started_at else coalesce(steps.started_at, now()) end,
      ended_at = case when excluded.ended_at is not null then coalesce(steps.ended_at, now()) end,
      progress = case when excluded.state <> 'pending' then steps.progress end
    where case excluded.state
      when 'pending' then steps.position < excluded.position
      when 'running' then steps.state <> 'running'
      else steps.state <> excluded.state and steps.state not in ('done', 'skipped') end
    returning name`);

/** Writes the same steps for many operations at once. */
export async function writeStepsOfAll(db: Database, operationIds: readonly string[], told: readonly ToldStep[]): Promise<void> {
  const rows = told.map((step) => ({ ...step, ended: isEnded(step.state) }));
  await db.execute(sql`
    insert into steps (operation_id, name, position, state, started_at, ended_at)
    select o.id::uuid, t.name, t.position, t.state, case when t.ended then now() end, case when t.ended then now() end
    from jsonb_array_elements_text(${JSON.stringify(operationIds)}::jsonb) as o(id),
      jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as t(name text, position int, state text, ended boolean)
    on conflict (operation_id, name) do update set
      state = excluded.state,
      started_at = coalesce(steps.started_at, now()),
      ended_at = coalesce(steps.ended_at, now()),
      progress = null
    where excluded.state = 'done' and steps.state not in ('done', 'skipped')`);
}

export const isEnded = (state: StepState): boolean =>
  state === "done" || state === "skipped" || state === "failed" || state === "cancelled";

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
