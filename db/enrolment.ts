/**
 * Enrolment: how a Mac becomes a host. A token is used in the transaction that makes the host, so it works once or not at all.
 *
 * The one idea: hardware is the identity that stays. The same hardware keeps its host id, so its machines stay its own, and gets a new key only when
 * that was asked for.
 */
import { randomUUID } from "node:crypto";
import { and, eq, gt, isNull, sql } from "drizzle-orm";
import { FaultError } from "../domain/errors.ts";
import type { HostFacts } from "../domain/hosts/schema.ts";
import { recordAudit } from "./audit.ts";
import type { Database } from "./connect.ts";
import { recordEvent } from "./events.ts";
import { enrolmentTokens, hosts } from "./schema.ts";

/** Any number that nobody else locks in this database. */
const enrolmentLock = 7_310_004;

export interface NewToken {
  readonly hash: string;
  readonly hostName: string;
  readonly labels: readonly string[];
  readonly createdBy: string;
  readonly ttlSeconds: number;
}

/** Answers when the token ends, by the database's clock. */
export async function insertEnrolmentToken(db: Database, { ttlSeconds, labels, ...token }: NewToken): Promise<Date> {
  const row = { ...token, labels: [...labels], expiresAt: sql`now() + make_interval(secs => ${ttlSeconds})` };
  const [made] = await db.insert(enrolmentTokens).values(row).returning({ expiresAt: enrolmentTokens.expiresAt });
  if (!made) throw new FaultError({ code: "internal", message: "The enrolment token was not stored." });
  return made.expiresAt;
}

export interface TokenState {
  readonly hostName: string;
  readonly labels: readonly string[];
  readonly expiresAt: Date;
  readonly state: "valid" | "used" | "expired";
}

export async function findEnrolmentToken(db: Database, hash: string): Promise<TokenState | null> {
  const expired = sql<boolean>`${enrolmentTokens.expiresAt} <= now()`;
  const [found] = await db.select({ row: enrolmentTokens, expired }).from(enrolmentTokens).where(eq(enrolmentTokens.hash, hash));
  if (!found) return null;
  const { hostName, labels, expiresAt, usedAt } = found.row;
  return { hostName, labels, expiresAt, state: usedAt ? "used" : found.expired ? "expired" : "valid" };
}

export interface Enrolment {
  readonly hash: string;
  readonly publicKey: string;
  readonly facts: HostFacts;
  readonly replace: boolean;
}

export async function enrolHost(db: Database, { hash, publicKey, facts, replace }: Enrolment): Promise<{ hostId: string; name: string }> {
  return db.transaction(async (tx) => {
    const { hostName: name, labels, createdBy } = await useToken(tx, hash);
    // One after the other: of two that want one name, or are one computer, the second reads what the first wrote.
    await tx.execute(sql`select pg_advisory_xact_lock(${enrolmentLock})`);
    await refuseTakenName(tx, name, facts.hardwareId);
    const [known] = await tx
      .select({ id: hosts.id, name: hosts.name })
      .from(hosts)
      .where(eq(hosts.hardwareId, facts.hardwareId))
      .for("update");
    if (known && !replace) {
      throw new FaultError({ code: "host_exists", message: `This hardware is enrolled already, as host ${known.id}.`, subject: known.id });
    }
    // A token is good for the host that it names: whoever has one may not take the place of another host by telling its hardware.
    if (known && known.name.toLowerCase() !== name.toLowerCase()) {
      const message = `This hardware is enrolled as host ${known.name}, and the token is for ${name}: make one for ${known.name}, or remove that host.`;
      throw new FaultError({ code: "host_exists", message, subject: known.id });
    }
    const fresh = { name, publicKey, labels: [...labels], facts, session: null, bootId: null, sequence: 0, lastReportAt: null };
    const hostId = known?.id ?? randomUUID();
    if (known) await tx.update(hosts).set(fresh).where(eq(hosts.id, known.id));
    else await tx.insert(hosts).values({ ...fresh, id: hostId, hardwareId: facts.hardwareId });
    await recordEvent(tx, { type: "host", name: known ? "host.replaced" : "host.enrolled", subjectId: hostId, body: { name } });
    // Whoever made the token let the host in.
    await recordAudit(tx, { actor: createdBy, action: known ? "host.replace" : "host.enrol", subject: name, outcome: "done" });
    return { hostId, name };
  });
}

async function useToken(tx: Database, hash: string): Promise<{ hostName: string; labels: readonly string[]; createdBy: string }> {
  const usable = and(eq(enrolmentTokens.hash, hash), isNull(enrolmentTokens.usedAt), gt(enrolmentTokens.expiresAt, sql`now()`));
  const [used] = await tx
    .update(enrolmentTokens)
    .set({ usedAt: sql`now()` })
    .where(usable)
    .returning();
  if (used) return used;
  const found = await findEnrolmentToken(tx, hash);
  const why = found === null ? "is not one of this hub" : found.state === "used" ? "was used already" : "has expired";
  throw new FaultError({ code: "enrolment_refused", message: `The enrolment token ${why}.` });
}

async function refuseTakenName(tx: Database, name: string, hardwareId: string): Promise<void> {
  const [other] = await tx
    .select({ id: hosts.id })
    .from(hosts)
    .where(sql`lower(${hosts.name}) = lower(${name}) and ${hosts.hardwareId} <> ${hardwareId}`);
  if (!other) return;
  const message = `Another host has the name ${name}: make a token for another name, or remove that host first.`;
  throw new FaultError({ code: "host_exists", message, subject: other.id });
}
