/**
 * Who follows events by WebSocket, at whichever API process.
 *
 * The one idea: each process renews the rows of its own clients, so a list is right whoever answers it, and a client that leaves a type by another process
 * is told of it no more; rows that nobody renews are of a process that ended.
 */
import { and, asc, eq, sql } from "drizzle-orm";
import type { Database } from "./connect.ts";
import { eventClients as clients } from "./schema.ts";

export type EventClient = typeof clients.$inferSelect;
type Renewed = Pick<EventClient, "id" | "pingedAt" | "answeredAt" | "sent" | "waiting">;

/** Renewed every few seconds: after this long without, its process is gone. */
const goneAfter = sql`interval '30 seconds'`;

export async function insertClient(db: Database, client: Pick<EventClient, "id" | "userId" | "username" | "types">): Promise<void> {
  await db.insert(clients).values(client);
}

/** Answers the types that each has now. */
export async function renewClients(db: Database, renewed: readonly Renewed[]): Promise<Map<string, string[]>> {
  if (renewed.length === 0) return new Map();
  const rows = await db.execute<{ id: string; types: string[] }>(sql`
    update event_clients set seen_at = now(), pinged_at = r.pinged_at::timestamptz, answered_at = r.answered_at::timestamptz, sent = r.sent, waiting = r.waiting
    from jsonb_to_recordset(${JSON.stringify(renewed.map(({ id, pingedAt, answeredAt, sent, waiting }) => ({ id, pinged_at: pingedAt, answered_at: answeredAt, sent, waiting })))}::jsonb)
      as r(id uuid, pinged_at text, answered_at text, sent bigint, waiting int)
    where event_clients.id = r.id returning event_clients.id, event_clients.types`);
  await db.delete(clients).where(sql`${clients.seenAt} < now() - ${goneAfter}`);
  return new Map(rows.map(({ id, types }) => [id, types]));
}

export async function dropClient(db: Database, id: string): Promise<void> {
  await db.delete(clients).where(eq(clients.id, id));
}

/** `userId`: only those of one user. Longest connected first. */
export async function listClients(db: Database, userId?: string): Promise<EventClient[]> {
  const living = sql`${clients.seenAt} >= now() - ${goneAfter}`;
  return db
    .select()
    .from(clients)
    .where(and(living, userId === undefined ? undefined : eq(clients.userId, userId)))
    .orderBy(asc(clients.connectedAt), asc(clients.id));
}

/** `false`: there is no such client, or it is somebody else's. */
export async function leaveTypes(db: Database, id: string, userId: string | undefined, types: readonly string[]): Promise<boolean> {
  const own = userId === undefined ? undefined : eq(clients.userId, userId);
  const left = sql`array(select t from unnest(${clients.types}) t where t <> all(${sql.param([...types])}::text[]))`;
  const changed = await db
    .update(clients)
    .set({ types: left })
    .where(and(eq(clients.id, id), own))
    .returning({ id: clients.id });
  return changed.length === 1;
}
