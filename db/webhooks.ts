/**
 * Webhooks: where events are sent. The whole address and the secrets stay sealed.
 *
 * The one idea: a webhook stands at the number of an event, and what comes after it is written as deliveries in the transaction that moves it on: each event
 * exactly once.
 */
import { and, asc, eq, sql } from "drizzle-orm";
import { FaultError } from "../domain/errors.ts";
import { Uuid } from "../domain/ids.ts";
import { Webhook } from "../domain/webhooks/schema.ts";
import type { Database } from "./connect.ts";
import { webhooks } from "./schema.ts";

export type WebhookRow = typeof webhooks.$inferSelect;
export type NewWebhookRow = Omit<typeof webhooks.$inferInsert, "createdAt" | "updatedAt" | "toldNumber">;

/** From the newest number on: what happened before it was made is not sent. */
const newest = sql`(select coalesce(max(number), 0) from events)`;

export async function insertWebhook(tx: Database, row: NewWebhookRow): Promise<Webhook> {
  const [made] = await tx
    .insert(webhooks)
    .values({ ...row, toldNumber: newest })
    .onConflictDoNothing()
    .returning();
  if (made) return Webhook.parse(made);
  throw taken(row.name);
}

const taken = (name: string) =>
  new FaultError({ code: "webhook_exists", message: `There is a webhook named ${name} already.`, subject: name });

export async function listWebhooks(db: Database, project: string): Promise<Webhook[]> {
  const rows = await db.select().from(webhooks).where(eq(webhooks.project, project)).orderBy(asc(webhooks.name));
  return rows.map((row) => Webhook.parse(row));
}

/** By id or, in any case, by name. `lock` keeps it as it is until the caller's transaction ends. */
export async function findWebhook(db: Database, project: string, idOrName: string, { lock = false } = {}): Promise<WebhookRow> {
  const id = Uuid.safeParse(idOrName);
  const named = id.success ? eq(webhooks.id, id.data) : sql`lower(${webhooks.name}) = lower(${idOrName})`;
  const query = db
    .select()
    .from(webhooks)
    .where(and(eq(webhooks.project, project), named));
  const [row] = await (lock ? query.for("update") : query);
  if (row) return row;
  throw new FaultError({ code: "webhook_not_found", message: `There is no webhook ${idOrName}.`, subject: idOrName });
}

export type WebhookChanges = Partial<
  Pick<WebhookRow, "name" | "address" | "recipients" | "events" | "sealed" | "enabled" | "problem" | "createdBy" | "createdById">
> & {
  /** How long the secret before the one that is sealed now signs too. */
  readonly keepPreviousSeconds?: number;
};

/** One that is enabled again is sent what happens from then on. */
export async function changeWebhook(tx: Database, { id, name, enabled }: WebhookRow, wanted: WebhookChanges): Promise<Webhook> {
  const { keepPreviousSeconds, ...changes } = wanted;
  const newName = changes.name?.toLowerCase();
  if (newName !== undefined && newName !== name.toLowerCase()) {
    const [other] = await tx
      .select({ id: webhooks.id })
      .from(webhooks)
      .where(sql`lower(${webhooks.name}) = ${newName} and ${webhooks.project} = (select project from webhooks where id = ${id})`);
    if (other) throw taken(changes.name ?? "");
  }
  const again = changes.enabled === true && !enabled ? { toldNumber: newest, problem: null } : {};
  const kept = keepPreviousSeconds === undefined ? {} : { previousSecretUntil: sql`now() + ${keepPreviousSeconds} * interval '1 second'` };
  const [row] = await tx
    .update(webhooks)
    .set({ ...changes, ...again, ...kept, updatedAt: sql`now()` })
    .where(eq(webhooks.id, id))
    .returning();
  return Webhook.parse(row);
}

export async function removeWebhook(tx: Database, id: string): Promise<void> {
  await tx.delete(webhooks).where(eq(webhooks.id, id));
}

/** Those that have not been looked at for the newest events. */
export async function webhooksBehind(db: Database): Promise<WebhookRow[]> {
  return db
    .select()
    .from(webhooks)
    .where(and(eq(webhooks.enabled, true), sql`${webhooks.toldNumber} <> ${newest}`))
    .orderBy(asc(webhooks.toldNumber));
}

/** `false`: somebody else has moved it meanwhile. */
export async function moveWebhook(
  tx: Database,
  { id, toldNumber }: Pick<WebhookRow, "id" | "toldNumber">,
  to: Partial<Pick<WebhookRow, "toldNumber" | "problem" | "enabled">>,
): Promise<boolean> {
  const moved = await tx
    .update(webhooks)
    .set(to)
    .where(and(eq(webhooks.id, id), eq(webhooks.toldNumber, toldNumber)))
    .returning({ id: webhooks.id });
  return moved.length === 1;
}

/** Of the one that a delivery is for, as it is at this moment. */
export async function webhookById(db: Database, id: string): Promise<WebhookRow | null> {
  const [row] = await db.select().from(webhooks).where(eq(webhooks.id, id));
  return row ?? null;
}

/** By the database's clock. */
const isPast = sql<boolean>`coalesce(${webhooks.previousSecretUntil} <= now(), true)`;
export async function signsWithPrevious(db: Database, id: string): Promise<boolean> {
  const [row] = await db.select({ isPast }).from(webhooks).where(eq(webhooks.id, id));
  return row?.isPast === false;
}
