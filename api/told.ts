/**
 * Changes that are told: the change, its event and its audit record are one transaction.
 *
 * The one idea: whoever changes rights, images or hosts says here what it was, so nothing is changed in silence and nothing is told that did not happen.
 * The database tells all API processes that rights changed; this one knows it before it answers.
 */
import { recordAudit } from "../db/audit.ts";
import type { Database } from "../db/connect.ts";
import { recordEvent } from "../db/events.ts";
import type { EventType } from "../domain/events/schema.ts";
import type { Asked } from "../control/start.ts";
import type { Hub } from "./ports.ts";

export interface Told {
  readonly type: EventType;
  /** Such as `user.added`; the audit calls the act so too. */
  readonly name: string;
  readonly subjectId: string;
  /** For people. */
  readonly subject: string;
  readonly body?: Readonly<Record<string, unknown>>;
}

/** A change that throws is neither done nor told. */
export function telling<T>(
  hub: Pick<Hub, "db" | "reads">,
  asked: By,
  { subject, ...event }: Told,
  change: (tx: Database) => Promise<T>,
): Promise<T> {
  return audited(hub, asked, { action: event.name, subject }, async (tx) => {
    const result = await change(tx);
    await recordEvent(tx, { ...event, project: asked.actor.project });
    return result;
  });
}

type By = Pick<Asked, "actor" | "requestId" | "source">;

/** For changes that tell their event themselves. */
export async function audited<T>(
  { db, reads }: Pick<Hub, "db" | "reads">,
  { actor, requestId, source }: By,
  { action, subject }: { action: string; subject: string },
  change: (tx: Database) => Promise<T>,
): Promise<T> {
  const result = await db.transaction(async (tx) => {
    const done = await change(tx);
    await recordAudit(tx, { actor: actor.username, action, subject, outcome: "done", requestId, source });
    return done;
  });
  // It may have been rights.
  reads.rights.tell();
  return result;
}

const access = (name: string, subjectId: string, subject: string, body: Record<string, unknown>): Told => ({
  type: "access",
  name,
  subjectId,
  subject,
  body,
});
type Way = "added" | "removed";
export const aboutUser = (way: Way | "updated", { id, username }: { id: string; username: string }) =>
  access(`user.${way}`, id, username, { userId: id });
export const aboutUserRight = (what: "role" | "claim", way: Way, { id, username }: { id: string; username: string }, right: string) =>
  access(`user_${what}.${way}`, id, `${username}: ${right}`, { userId: id, [`${what}Id`]: right });
export const aboutRole = (way: Way, id: string) => access(`role.${way}`, id, id, { roleId: id });
export const aboutClaim = (way: Way, id: string) => access(`claim.${way}`, id, id, { claimId: id });
export const aboutRoleClaim = (way: Way, roleId: string, claimId: string) =>
  access(`role_claim.${way}`, roleId, `${roleId}: ${claimId}`, { roleId, claimId });
export const aboutApiKey = (way: Way | "revoked", { id, name }: { id: string; name: string }) =>
  access(`api_key.${way}`, id, name, { apiKeyId: id });

interface ImageNamed {
  readonly requiredRoles: readonly string[];
  readonly requiredClaims: readonly string[];
  readonly id: string;
  readonly catalogId: string;
  readonly version: string;
  readonly architecture: string;
}
export const aboutImage = (
  way: "tainted" | "untainted" | "revoked" | "changed" | "deleted",
  { id, catalogId, version, architecture, requiredRoles, requiredClaims }: ImageNamed,
): Told => ({
  type: "image",
  name: `image.${way}`,
  subjectId: id,
  subject: `${catalogId}/${version}/${architecture}`,
  // Once the row is gone, only the event tells who may hear of it.
  body: { catalogId, version, architecture, ...(way === "deleted" ? { guard: { requiredRoles, requiredClaims } } : {}) },
});
