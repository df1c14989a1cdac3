/**
 * What happened. A row is written in the transaction of what it tells, and gets its number from the relay once that transaction is committed.
 *
 * The one idea: `at` is the clock at the insert, not at the transaction's begin, so of two writers that waited for one row the later one is later.
 */
import { and, asc, eq, gt, isNotNull, sql } from "drizzle-orm";
import { Event, type EventType } from "../domain/events/schema.ts";
import type { Database } from "./connect.ts";
import { events } from "./schema.ts";

/** Where listeners learn that there are new events; the payload is the newest number. */
export const eventsChannel = "drover_events";

export interface NewEvent {
  readonly type: EventType;
  /** Such as `operation.running`. */
  readonly name: string;
  readonly subjectId: string;
  readonly operationId?: string | undefined;
  readonly project?: string | undefined;
  readonly body?: Readonly<Record<string, unknown>>;
}

export async function recordEvent(db: Database, { project, operationId, body = {}, ...event }: NewEvent): Promise<void> {
  const optional = { ...(project === undefined ? {} : { project }), ...(operationId === undefined ? {} : { operationId }) };
  await db.insert(events).values({ id: crypto.randomUUID(), at: sql`clock_timestamp()`, body: { ...body }, ...event, ...optional });
}

/** Several in their order, which their times keep: one statement's rows would share a moment. */
export async function recordEvents(db: Database, told: readonly NewEvent[]): Promise<void> {
  if (told.length === 0) return;
  const rows = told.map((event, place) => ({ id: crypto.randomUUID(), body: {}, ...event, place }));
  await db.execute(sql`
    insert into events (id, type, name, subject_id, operation_id, project, body, at)
    select e.id, e.type, e.name, e."subjectId", e."operationId", coalesce(e.project, 'default'), e.body, clock_timestamp() + e.place * interval '1 microsecond'
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
      as e(id uuid, type text, name text, "subjectId" text, "operationId" uuid, project text, body jsonb, place int)`);
}

/** Has whoever waits for something look again, once the caller's transaction is committed. */
export async function wakeListeners(tx: Database, said = ""): Promise<void> {
  await tx.execute(sql`select pg_notify(${eventsChannel}, ${said})`);
}

export interface EventsAsk {
  readonly after: number;
  readonly limit: number;
  readonly operationId?: string | undefined;
  readonly project?: string | undefined;
}

export async function listEvents(db: Database, { after, limit, operationId, project }: EventsAsk): Promise<Event[]> {
  const wanted = and(
    isNotNull(events.number),
    gt(events.number, after),
    operationId === undefined ? undefined : eq(events.operationId, operationId),
    project === undefined ? undefined : eq(events.project, project),
  );
  const rows = await db.select().from(events).where(wanted).orderBy(asc(events.number)).limit(limit);
  return rows.map((row) => Event.parse(row));
}

/** Where somebody begins who wants only what happens from now on. */
export async function lastEventNumber(db: Database): Promise<number> {
  const [row] = await db.select({ last: sql<string | null>`max(${events.number})` }).from(events);
  return Number(row?.last ?? 0);
}

/**
 * Where a reader goes on. A number beyond the last one is of a history that a restored database does not have: the reader goes on with what happened in
 * the last minute, which is longer than it takes to notice.
 */
export async function goOnAfter(db: Database, after: number): Promise<number> {
  if (after <= (await lastEventNumber(db))) return after;
  const [row] = await db
    .select({ last: sql<string | null>`max(${events.number})` })
    .from(events)
    .where(sql`${events.at} < clock_timestamp() - interval '1 minute'`);
  return Number(row?.last ?? 0);
}

/** Whether an operation has told such an event: what marks an act as done once. */
export async function hasTold(db: Database, operationId: string, name: string): Promise<boolean> {
  const found = await db
    .select({ id: events.id })
    .from(events)
    .where(and(eq(events.operationId, operationId), eq(events.name, name)))
    .limit(1);
  return found.length === 1;
}

/** Numbers committed rows in order; answers the last number given, or null when there was nothing to do. The caller holds the relay's lock. */
export async function numberEvents(db: Database, limit: number): Promise<number | null> {
  const numbered = await db.execute<{ number: string }>(sql`
    with waiting as (select id, row_number() over (order by at, id) as place from (select id, at from events where number is null order by at, id limit ${limit}) batch),
         last as (select coalesce(max(number), 0) as number from events)
    update events set number = last.number + waiting.place from waiting, last where events.id = waiting.id returning events.number`);
  const numbers = numbered.map((row) => Number(row.number));
  return numbers.length === 0 ? null : Math.max(...numbers);
}
