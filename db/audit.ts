/**
 * The audit: who did what, chained so that nobody edits it unseen.
 *
 * The one idea: each record's hash covers its fields and the hash before it. Long work leaves two records: accepted and settled.
 */
import { createHash } from "node:crypto";
import { asc, desc, eq, gt, isNotNull, isNull, sql } from "drizzle-orm";
import type { AuditRecord } from "../domain/events/schema.ts";
import type { Database } from "./connect.ts";
import { audit } from "./schema.ts";

export interface NewAuditRecord {
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
  readonly outcome: AuditRecord["outcome"];
  readonly operationId?: string | null;
  readonly requestId?: string | null;
}
type Row = typeof audit.$inferSelect;

export async function recordAudit(db: Database, record: NewAuditRecord): Promise<void> {
  await db.insert(audit).values({ id: crypto.randomUUID(), at: sql`clock_timestamp()`, ...record });
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
  let number = last?.number ?? 0;
  let previousHash = last?.hash ?? "";
  for (const row of waiting) {
    number += 1;
    const hash = hashOf({ ...row, number }, previousHash);
    await db.update(audit).set({ number, previousHash, hash }).where(eq(audit.id, row.id));
    previousHash = hash;
  }
  return waiting.length;
}

/** The number of the first record that does not fit the chain, or null when all do. Reads 1000 at a time, so the audit's size does not matter. */
export async function firstBrokenRecord(db: Database): Promise<number | null> {
  let number = 0;
  let previousHash = "";
  for (;;) {
    const rows = await db.select().from(audit).where(gt(audit.number, number)).orderBy(asc(audit.number)).limit(1000);
    for (const row of rows) {
      const fits = row.number === number + 1 && row.previousHash === previousHash && row.hash === hashOf(row, previousHash);
      if (!fits) return number + 1;
      number += 1;
      previousHash = row.hash ?? "";
    }
    if (rows.length === 0) return null;
  }
}

function hashOf({ id, number, at, actor, action, subject, outcome, operationId, requestId }: Row, previousHash: string): string {
  const fields = [previousHash, id, number, at.toISOString(), actor, action, subject, outcome, operationId, requestId];
  return createHash("sha256").update(JSON.stringify(fields)).digest("hex");
}
