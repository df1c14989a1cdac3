/**
 * Deliveries: one event for one webhook, what came of each attempt, and when the next one comes.
 *
 * The one idea: an attempt is written once, together with the state that it brings; so an activity that runs again finds what it did.
 */
import { and, asc, desc, eq, inArray, lt, sql } from "drizzle-orm";
import { FaultError } from "../domain/errors.ts";
import type { Event } from "../domain/events/schema.ts";
import { Uuid } from "../domain/ids.ts";
import type { ToldEvent } from "../domain/webhooks/formats.ts";
import { Delivery, DeliveryDetail } from "../domain/webhooks/schema.ts";
import type { Database } from "./connect.ts";
import { afterCursor, newestFirst, pageOf, placeOf, type Page, type PageAsk } from "./pages.ts";
import { webhookAttempts as attempts, webhookDeliveries as deliveries, webhooks } from "./schema.ts";

export type DeliveryRow = typeof deliveries.$inferSelect;
export type AttemptRow = typeof attempts.$inferInsert;

export const toldEvent = ({ at, ...event }: Event): ToldEvent => ({ ...event, at: at.toISOString() });

/** Events that are written already stay as they are. */
export async function insertDeliveries(tx: Database, webhookId: string, events: readonly Event[]): Promise<void> {
  if (events.length === 0) return;
  const rows = events.map((event) => ({
    id: crypto.randomUUID(),
    webhookId,
    eventNumber: event.number,
    eventName: event.name,
    event: { ...toldEvent(event) },
  }));
  await tx.insert(deliveries).values(rows).onConflictDoNothing();
}

export async function insertTest(tx: Database, webhookId: string, event: ToldEvent): Promise<Delivery> {
  const [row] = await tx
    .insert(deliveries)
    .values({ id: crypto.randomUUID(), webhookId, eventNumber: null, eventName: event.name, event: { ...event } })
    .returning();
  return Delivery.parse(row);
}

/** Deliveries under way per webhook at most, so that a receiver that is down does not fill Temporal; the others wait in their rows. */
const underWay = 100;

/** Deliveries whose workflow is not known to run, oldest first. */
export async function deliveriesToBegin(db: Database, limit: number): Promise<DeliveryRow[]> {
  const going = sql`(select count(*) from webhook_deliveries g where g.webhook_id = w.id and g.state = 'pending' and g.begun)`;
  const next = sql`(select n.id from webhooks w cross join lateral (
    select d.id from webhook_deliveries d where d.webhook_id = w.id and d.state = 'pending' and not d.begun
    order by d.created_at, d.event_number limit greatest(0, ${underWay} - ${going})) n)`;
  return db
    .select()
    .from(deliveries)
    .where(sql`${deliveries.id} in ${next}`)
    .orderBy(asc(deliveries.createdAt), asc(deliveries.eventNumber))
    .limit(limit);
}

export async function deliveryBegun(db: Database, { id, round }: Pick<DeliveryRow, "id" | "round">): Promise<void> {
  await db
    .update(deliveries)
    .set({ begun: true })
    .where(and(eq(deliveries.id, id), eq(deliveries.round, round)));
}

export const countPending = (db: Database, webhookId: string): Promise<number> =>
  db.$count(deliveries, and(eq(deliveries.webhookId, webhookId), eq(deliveries.state, "pending")));

export async function findDeliveryRow(db: Database, id: string): Promise<DeliveryRow | null> {
  const [row] = await db.select().from(deliveries).where(eq(deliveries.id, id));
  return row ?? null;
}

export async function attemptDone(
  db: Database,
  { deliveryId, round, attempt }: Pick<AttemptRow, "deliveryId" | "round" | "attempt">,
): Promise<boolean | null> {
  const [row] = await db
    .select({ delivered: attempts.delivered })
    .from(attempts)
    .where(and(eq(attempts.deliveryId, deliveryId), eq(attempts.round, round), eq(attempts.attempt, attempt)));
  return row?.delivered ?? null;
}

/** Writes what came of an attempt and where that leaves the delivery; `waitMs`: until the next one, null when there is none. */
export async function recordAttempt(db: Database, row: AttemptRow, waitMs: number | null): Promise<void> {
  const { deliveryId, round, attempt, delivered } = row;
  const state = delivered ? "delivered" : waitMs === null ? "dead" : "pending";
  await db.transaction(async (tx) => {
    const written = await tx.insert(attempts).values(row).onConflictDoNothing().returning({ attempt: attempts.attempt });
    if (written.length === 0) return;
    await tx
      .update(deliveries)
      .set({
        state,
        attempts: attempt,
        nextAt: state === "pending" ? sql`now() + ${waitMs} * interval '1 millisecond'` : null,
        endedAt: state === "pending" ? null : sql`now()`,
      })
      .where(and(eq(deliveries.id, deliveryId), eq(deliveries.round, round), eq(deliveries.state, "pending")));
  });
}

/** Ends a round that nobody will go on with. */
export async function endRound(db: Database, { id, round }: Pick<DeliveryRow, "id" | "round">): Promise<void> {
  await db
    .update(deliveries)
    .set({ state: "dead", nextAt: null, endedAt: sql`now()` })
    .where(and(eq(deliveries.id, id), eq(deliveries.round, round), eq(deliveries.state, "pending")));
}

/** An attempt takes seconds. */
const overdueAfter = sql`interval '15 minutes'`;
export async function deliveriesOverdue(db: Database, limit: number): Promise<DeliveryRow[]> {
  const due = sql`coalesce(${deliveries.nextAt}, ${deliveries.createdAt}) < now() - ${overdueAfter}`;
  return db
    .select()
    .from(deliveries)
    .where(and(eq(deliveries.state, "pending"), eq(deliveries.begun, true), due))
    .orderBy(asc(deliveries.createdAt))
    .limit(limit);
}

/** Another round: the workflow of the one before ends when it looks next. */
export async function redeliver(tx: Database, id: string): Promise<Delivery> {
  const [row] = await tx
    .update(deliveries)
    .set({ state: "pending", round: sql`${deliveries.round} + 1`, begun: false, attempts: 0, nextAt: null, endedAt: null })
    .where(eq(deliveries.id, id))
    .returning();
  return Delivery.parse(row);
}

/** Newest first. */
export async function listDeliveries(
  db: Database,
  { webhookId, state }: { webhookId: string; state?: Delivery["state"] | undefined },
  { cursor, limit }: PageAsk,
): Promise<Page<Delivery>> {
  const rows = await db
    .select({ row: deliveries, at: placeOf(deliveries) })
    .from(deliveries)
    .where(
      and(
        eq(deliveries.webhookId, webhookId),
        state === undefined ? undefined : eq(deliveries.state, state),
        afterCursor(deliveries, cursor),
      ),
    )
    .orderBy(newestFirst(deliveries))
    .limit(limit + 1);
  return pageOf(rows, limit, (row) => Delivery.parse(row));
}

/** With what came of each attempt; what another project has does not exist. */
export async function findDelivery(db: Database, project: string, id: string): Promise<DeliveryDetail> {
  const isId = Uuid.safeParse(id);
  const [found] = isId.success
    ? await db
        .select({ row: deliveries })
        .from(deliveries)
        .innerJoin(webhooks, eq(webhooks.id, deliveries.webhookId))
        .where(and(eq(deliveries.id, isId.data), eq(webhooks.project, project)))
    : [];
  if (!found) throw new FaultError({ code: "delivery_not_found", message: `There is no delivery ${id}.`, subject: id });
  const log = await db
    .select()
    .from(attempts)
    .where(eq(attempts.deliveryId, found.row.id))
    .orderBy(asc(attempts.round), asc(attempts.attempt));
  return DeliveryDetail.parse({ ...found.row, log });
}

/** Deletes what ended long ago, some at a time; answers whether there may be more. */
export async function dropOldDeliveries(db: Database, olderThanMs: number, limit: number): Promise<boolean> {
  const old = db
    .select({ id: deliveries.id })
    .from(deliveries)
    .where(lt(deliveries.endedAt, sql`now() - ${olderThanMs} * interval '1 millisecond'`))
    .orderBy(desc(deliveries.endedAt))
    .limit(limit);
  return (await db.delete(deliveries).where(inArray(deliveries.id, old)).returning({ id: deliveries.id })).length === limit;
}
