/**
 * The audit: who did what, chained so that nobody edits it unseen.
 *
 * The one idea: each record's hash covers its fields and the hash before it. Long work leaves two records: accepted and settled.
 */
import { createHash } from "node:crypto";
import { and, asc, desc, eq, gt, gte, isNotNull, isNull, lt, lte, sql } from "drizzle-orm";
import { FaultError } from "../domain/errors.ts";
import { AuditRecord, type AuditProof } from "../domain/events/schema.ts";
import type { Database } from "./connect.ts";
import type { Page, PageAsk } from "./pages.ts";
import { audit, hub } from "./schema.ts";

export interface NewAuditRecord {
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly outcome: AuditRecord["outcome"];
  readonly operationId?: string | null;
  readonly requestId?: string | null;
  /** The address that asked for it. */
  readonly source?: string | null | undefined;
}
type Row = typeof audit.$inferSelect;

export async function recordAudit(db: Database, record: NewAuditRecord): Promise<void> {
  await db.insert(audit).values({ id: crypto.randomUUID(), at: sql`clock_timestamp()`, ...record });
}

/** Several in their order, which their times keep. */
export async function recordAudits(db: Database, records: readonly NewAuditRecord[]): Promise<void> {
  if (records.length === 0) return;
  const at = (place: number) => sql`clock_timestamp() + ${place}::int * interval '1 microsecond'`;
  await db.insert(audit).values(records.map((record, place) => ({ id: crypto.randomUUID(), at: at(place), ...record })));
}

/** Under an id of the caller's; `false` when it is there already. */
export async function recordAuditOnce(db: Database, id: string, record: NewAuditRecord): Promise<boolean> {
  const written = await db
    .insert(audit)
    .values({ id, at: sql`clock_timestamp()`, ...record })
    .onConflictDoNothing({ target: audit.id })
    .returning({ id: audit.id });
  return written.length === 1;
}

export async function findAudit(db: Database, id: string): Promise<Pick<Row, "actor" | "requestId"> | null> {
  const [row] = await db.select({ actor: audit.actor, requestId: audit.requestId }).from(audit).where(eq(audit.id, id));
  return row ?? null;
}

/** Numbers and chains committed rows in order; answers how many. The caller holds the relay's lock. */
export async function chainAudit(db: Database, limit: number): Promise<number> {
  const waiting = await db.select().from(audit).where(isNull(audit.number)).orderBy(asc(audit.at), asc(audit.id)).limit(limit);
  if (waiting.length === 0) return 0;
  const [last] = await db.select().from(audit).where(isNotNull(audit.number)).orderBy(desc(audit.number)).limit(1);
  const [dropped] = last ? [] : await db.select({ number: hub.auditDroppedNumber, hash: hub.auditDroppedHash }).from(hub);
  let number = last?.number ?? dropped?.number ?? 0;
  let previousHash = last?.hash ?? dropped?.hash ?? "";
  const chained = waiting.map((row) => {
    number += 1;
    const link = { id: row.id, number, previousHash, hash: hashOf({ ...row, number }, previousHash) };
    previousHash = link.hash;
    return link;
  });
  await db.execute(sql`
    update audit set number = link.number, previous_hash = link."previousHash", hash = link.hash
    from jsonb_to_recordset(${JSON.stringify(chained)}::jsonb) as link(id uuid, number bigint, "previousHash" text, hash text) where audit.id = link.id`);
  return waiting.length;
}

export interface AuditFilter {
  readonly actor?: string | undefined;
  readonly action?: string | undefined;
  readonly subject?: string | undefined;
  readonly outcome?: AuditRecord["outcome"] | undefined;
  readonly operationId?: string | undefined;
  readonly since?: Date | undefined;
  readonly until?: Date | undefined;
}

/** Chained records, newest first; the cursor is the number before which the page begins. */
export async function listAudit(
  db: Database,
  { since, until, ...named }: AuditFilter,
  { cursor, limit }: PageAsk,
): Promise<Page<AuditRecord>> {
  const before = cursor === undefined ? undefined : Number(cursor);
  if (before !== undefined && !Number.isSafeInteger(before))
    throw new FaultError({ code: "invalid_request", message: "The cursor is not one that this list gave." });
  const equal = (Object.entries(named) as [keyof typeof named, string | undefined][]).flatMap(([name, value]) =>
    value === undefined ? [] : [eq(audit[name], value)],
  );
  const rows = await db
    .select()
    .from(audit)
    .where(
      and(
        isNotNull(audit.number),
        before === undefined ? undefined : lt(audit.number, before),
        since && gte(audit.at, since),
        until && lt(audit.at, until),
        ...equal,
      ),
    )
    .orderBy(desc(audit.number))
    .limit(limit + 1);
  const shown = rows.slice(0, limit).map((row) => AuditRecord.parse(row));
  return { items: shown, nextCursor: rows.length > limit ? String(shown.at(-1)?.number) : null };
}

/** A record that somebody wrote down elsewhere. */
export type KnownRecord = Pick<AuditRecord, "number" | "hash">;

/** Proves the chain from where it begins. Reads 1000 records at a time, so the audit's size does not matter. */
export async function proveAudit(db: Database, known: KnownRecord | null = null): Promise<AuditProof> {
  const [dropped] = await db.select({ number: hub.auditDroppedNumber, hash: hub.auditDroppedHash }).from(hub);
  const begin = { number: dropped?.number ?? 0, hash: dropped?.hash ?? "" };
  let last = begin;
  let met = known?.number === begin.number && known.hash === begin.hash;
  const proof = (broken: number | null): AuditProof => ({
    records: last.number - begin.number,
    first: last.number > begin.number ? begin.number + 1 : null,
    last: last.number > begin.number ? last.number : null,
    lastHash: last.number > begin.number ? last.hash : null,
    broken,
    known: known && met,
  });
  for (;;) {
    const rows = await db.select().from(audit).where(gt(audit.number, last.number)).orderBy(asc(audit.number)).limit(1000);
    for (const row of rows) {
      const fits = row.number === last.number + 1 && row.previousHash === last.hash && row.hash === hashOf(row, last.hash);
      if (!fits) return proof(last.number + 1);
      last = { number: last.number + 1, hash: row.hash ?? "" };
      met ||= known?.number === last.number && known.hash === last.hash;
    }
    if (rows.length === 0) return proof(null);
  }
}

/** Drops chained records that are older, and keeps where the rest begins, so that it can still be proved; answers whether there may be more. */
export async function dropOldAudit(db: Database, olderThanMs: number, batch: number): Promise<boolean> {
  return db.transaction(async (tx) => {
    const old = await tx
      .select({ number: audit.number, hash: audit.hash })
      .from(audit)
      .where(and(isNotNull(audit.number), sql`${audit.at} < now() - ${olderThanMs} * interval '1 millisecond'`))
      .orderBy(asc(audit.number))
      .limit(batch);
    const last = old.at(-1);
    if (typeof last?.number !== "number") return false;
    await tx.delete(audit).where(lte(audit.number, last.number));
    await tx.update(hub).set({ auditDroppedNumber: last.number, auditDroppedHash: last.hash });
    return old.length === batch;
  });
}

/** Records of before addresses were kept have none, and the hash that they had. */
function hashOf({ id, number, at, actor, action, subject, outcome, operationId, requestId, source }: Row, previousHash: string): string {
  const of = source === null ? [] : [source];
  const fields = [previousHash, id, number, at.toISOString(), actor, action, subject, outcome, operationId, requestId, ...of];
  return createHash("sha256").update(JSON.stringify(fields)).digest("hex");
}
