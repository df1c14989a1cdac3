/**
 * Operations: what was asked, where it stands, how it ended.
 *
 * The one idea: states only move forward, and every move names the states that it may start from and answers whether it won.
 */
import { and, count, eq, gt, inArray, sql } from "drizzle-orm";
import { refuse, ok, type Result } from "../domain/errors.ts";
import { Uuid } from "../domain/ids.ts";
import type { OnFault, OperationState, Outcome, Verb } from "../domain/operations/rules.ts";
import { Operation, type FaultRecord } from "../domain/operations/schema.ts";
import type { Database } from "./connect.ts";
import { recordEvent } from "./events.ts";
import { afterCursor, newestFirst, pageOf, placeOf, type Page, type PageAsk } from "./pages.ts";
import { operations } from "./schema.ts";

export interface NewOperation {
  readonly id: string;
  readonly project: string;
  readonly verb: Verb;
  readonly subject: string;
  readonly actor: string;
  readonly actorId: string;
  readonly hostId: string | null;
  readonly machineId: string | null;
  readonly image: string | null;
  readonly onFault: OnFault;
  readonly workflowId: string;
  readonly input: Record<string, unknown>;
  readonly sealed: Uint8Array | null;
  readonly requestId: string | null;
  readonly givenJobId?: string | null;
}

/** An operation with what only the hub itself may see of it. Its input is parsed by whoever wrote it. */
export interface OperationRow {
  readonly operation: Operation;
  readonly actorId: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly fence: number;
  readonly requestId: string | null;
}

export async function insertOperation(db: Database, operation: NewOperation): Promise<Operation> {
  const [row] = await db.insert(operations).values(operation).returning();
  return Operation.parse(row);
}

/** In their order. */
export async function insertOperations(db: Database, told: readonly NewOperation[]): Promise<Operation[]> {
  const rows = await db
    .insert(operations)
    .values([...told])
    .returning();
  const byId = new Map(rows.map((row) => [row.id, Operation.parse(row)]));
  return told.flatMap(({ id }) => byId.get(id) ?? []);
}

export async function findOperation(db: Database, id: string): Promise<Result<Operation>> {
  const found = await readOperation(db, id);
  return found.ok ? ok(found.value.operation) : found;
}

/** `lock` keeps the row from moving until the caller's transaction ends. */
export async function readOperation(db: Database, id: string, { lock = false } = {}): Promise<Result<OperationRow>> {
  const known = Uuid.safeParse(id);
  const query = db
    .select()
    .from(operations)
    .where(eq(operations.id, known.success ? known.data : "00000000-0000-0000-0000-000000000000"));
  const [row] = await (lock ? query.for("update") : query);
  if (!row) return refuse({ code: "operation_not_found", message: `There is no operation ${id}.`, subject: id });
  const { actorId, input, fence, requestId } = row;
  return ok({ operation: Operation.parse(row), actorId, input, fence, requestId });
}

/** In the words of the index over them, which the planner compares literally. */
const unsettled = sql`${operations.state} not in ('done', 'failed', 'cancelled')`;

export interface OperationFilter {
  readonly project?: string | undefined;
  readonly state?: OperationState | undefined;
  readonly verb?: Verb | undefined;
  readonly machineId?: string | undefined;
  readonly hostId?: string | undefined;
  readonly image?: string | undefined;
  readonly actorId?: string | undefined;
}

export async function listOperations(db: Database, filter: OperationFilter, { cursor, limit }: PageAsk): Promise<Page<Operation>> {
  const named = Object.entries(filter).filter(([, value]) => value !== undefined) as [keyof OperationFilter, string][];
  const wanted = and(afterCursor(operations, cursor), ...named.map(([name, value]) => eq(operations[name], value)));
  const rows = await db
    .select({ row: operations, at: placeOf(operations) })
    .from(operations)
    .where(wanted)
    .orderBy(newestFirst(operations))
    .limit(limit + 1);
  return pageOf(rows, limit, (row) => Operation.parse(row));
}

/** Operations that have not ended, oldest first: of one machine, of one verb, or all. */
export async function unsettledOperations(
  db: Database,
  { machineId, verb, limit = 1000 }: { machineId?: string; verb?: Verb; limit?: number } = {},
): Promise<Operation[]> {
  const wanted = and(
    unsettled,
    machineId === undefined ? undefined : eq(operations.machineId, machineId),
    verb === undefined ? undefined : eq(operations.verb, verb),
  );
  const rows = await db.select().from(operations).where(wanted).orderBy(operations.createdAt).limit(limit);
  return rows.map((row) => Operation.parse(row));
}

/** How many have not ended, by state. */
export async function countUnsettled(db: Database): Promise<Array<[OperationState, number]>> {
  const rows = await db.select({ state: operations.state, count: count() }).from(operations).where(unsettled).groupBy(operations.state);
  return rows.map((row) => [row.state, row.count]);
}

/** Operations whose workflow is known to have started and that have not ended, after `afterId`: a page of all of them, so that a loop can go round. */
export async function startedOperations(db: Database, { afterId, limit }: { afterId: string; limit: number }): Promise<Operation[]> {
  const started = sql`not exists (select 1 from intents i where i.operation_id = ${operations.id})`;
  const rows = await db
    .select()
    .from(operations)
    .where(and(gt(operations.id, afterId), unsettled, started))
    .orderBy(operations.id)
    .limit(limit);
  return rows.map((row) => Operation.parse(row));
}

/** The newest operation of one verb on a machine. */
export async function lastOperation(db: Database, machineId: string, verb: Verb): Promise<Operation | null> {
  const [row] = await db
    .select()
    .from(operations)
    .where(and(eq(operations.machineId, machineId), eq(operations.verb, verb)))
    .orderBy(newestFirst(operations))
    .limit(1);
  return row ? Operation.parse(row) : null;
}

/** Moves an operation on if it is still in one of `from`, and tells it; `false` means that someone else moved it first. */
export async function moveOperation(db: Database, id: string, from: readonly OperationState[], to: OperationState): Promise<boolean> {
  const begun = to === "running" ? { startedAt: sql`coalesce(${operations.startedAt}, now())` } : {};
  const moved = await db
    .update(operations)
    .set({ state: to, ...begun })
    .where(and(eq(operations.id, id), inArray(operations.state, [...from])))
    .returning();
  const [row] = moved;
  if (!row) return false;
  await recordEvent(db, {
    type: "operation",
    name: `operation.${to}`,
    subjectId: id,
    operationId: id,
    project: row.project,
    body: { verb: row.verb },
  });
  return true;
}

export interface Ending {
  readonly outcome: Outcome;
  readonly fault?: FaultRecord | undefined;
  readonly result?: Record<string, unknown> | undefined;
}

/** Ends an operation that has not ended yet and drops what was sealed; `null` when it had. */
export async function endOperation(db: Database, id: string, { outcome, fault, result }: Ending): Promise<OperationRow | null> {
  const ended = {
    state: outcome,
    fault: fault ?? null,
    result: result ?? null,
    sealed: null,
    endedAt: sql`now()`,
    startedAt: sql`coalesce(${operations.startedAt}, now())`,
  };
  const [row] = await db
    .update(operations)
    .set(ended)
    .where(and(eq(operations.id, id), unsettled))
    .returning();
  if (!row) return null;
  const { actorId, input, fence, requestId } = row;
  return { operation: Operation.parse(row), actorId, input, fence, requestId };
}

/** What is learnt only on the way: the host of a placement, the full name of an image. */
export async function locateOperation(db: Database, id: string, found: { hostId?: string; image?: string }): Promise<void> {
  await db
    .update(operations)
    .set({ ...found, ...(found.hostId === undefined ? {} : { toldLost: false }) })
    .where(eq(operations.id, id));
}

/** Adds to what was asked. */
export async function changeInput(db: Database, id: string, more: Readonly<Record<string, unknown>>): Promise<void> {
  await db
    .update(operations)
    .set({ input: sql`${operations.input} || ${JSON.stringify(more)}::jsonb` })
    .where(eq(operations.id, id));
}

/**
 * Draws the number of a new attempt; the one before may publish nothing any more. A sequence goes back when the database is restored, and an attempt from
 * before would be taken for a new one: the clock in microseconds does not.
 */
export async function drawFence(db: Database, id: string): Promise<number> {
  const [row] = await db
    .update(operations)
    .set({ fence: sql`greatest(nextval('fences'), (extract(epoch from clock_timestamp()) * 1000000)::bigint)` })
    .where(eq(operations.id, id))
    .returning({ fence: operations.fence });
  return row?.fence ?? 0;
}
