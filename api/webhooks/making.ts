/**
 * A webhook as its row keeps it.
 *
 * The one idea: the address and the secrets are sealed before the row is written, and nothing of them stands anywhere else but in the one answer that shows
 * a new secret.
 */
import { randomBytes } from "node:crypto";
import type { Actor } from "../../domain/access/schema.ts";
import { FaultError } from "../../domain/errors.ts";
import type { ToldEvent } from "../../domain/webhooks/formats.ts";
import { shownAddress } from "../../domain/webhooks/rules.ts";
import type { NewWebhook, WebhookChange } from "../../domain/webhooks/schema.ts";
import { findUser } from "../../db/users.ts";
import type { NewWebhookRow, WebhookChanges, WebhookRow } from "../../db/webhooks.ts";
import { webhookSeal, type WebhookTarget } from "../../security/sealed-texts.ts";
import type { Hub } from "../ports.ts";

type Owner = Pick<NewWebhookRow, "createdBy" | "createdById">;
const newSecret = (): string => `whsec_${randomBytes(32).toString("base64url")}`;

/** A key that is limited to some claims must not make what acts with all of its user's. */
export async function ownerOf({ db }: Pick<Hub, "db">, { userId, username, claims, isSuperUser, apiKeyId }: Actor): Promise<Owner> {
  const user = apiKeyId === null ? null : await findUser(db, userId);
  const held = new Set(claims.map((claim) => claim.toUpperCase()));
  const limited = user && (user.isSuperUser !== isSuperUser || user.effectiveClaims.some((claim) => !held.has(claim.toUpperCase())));
  if (limited)
    throw new FaultError({
      code: "forbidden",
      message: "This API key is limited to some claims, and a webhook acts with all of its user's: log in, or use a key without a limit.",
    });
  return { createdBy: username, createdById: userId };
}

type Made = Pick<NewWebhookRow, "id" | "name" | "kind" | "address" | "recipients" | "events" | "sealed">;

export async function madeOf({ sealer }: Pick<Hub, "sealer">, wanted: NewWebhook): Promise<{ row: Made; secret: string | null }> {
  const { name, kind, url = null, to = [], events } = wanted;
  const id = crypto.randomUUID();
  const made = kind === "http" && wanted.secret === undefined ? newSecret() : null;
  const sealed = await webhookSeal(sealer).close(id, { url, secret: wanted.secret ?? made, previousSecret: null });
  return { row: { id, name, kind, address: addressOf(url, to), recipients: [...to], events: [...events], sealed }, secret: made };
}

const addressOf = (url: string | null, to: readonly string[]): string => (url === null ? to.join(", ") : shownAddress(url));

export async function changesOf(
  { sealer }: Pick<Hub, "sealer">,
  row: WebhookRow,
  { url, to, rotateSecret, name, events, enabled }: WebhookChange,
): Promise<{ changes: WebhookChanges; secret: string | null }> {
  const misplaced = row.kind === "email" ? url !== undefined : to !== undefined;
  if (misplaced || (rotateSecret && row.kind !== "http"))
    throw new FaultError({
      code: "invalid_request",
      message: `${row.name} is a webhook of kind ${row.kind}: that has nothing of what was to be changed.`,
    });
  const given = {
    ...(name === undefined ? {} : { name }),
    ...(events === undefined ? {} : { events: [...events] }),
    ...(enabled === undefined ? {} : { enabled }),
    ...(to === undefined ? {} : { recipients: [...to], address: addressOf(null, to) }),
    ...(url === undefined ? {} : { address: addressOf(url, []) }),
  };
  if (url === undefined && !rotateSecret) return { changes: given, secret: null };
  const seal = webhookSeal(sealer);
  // One whose key was lost has nothing left to keep.
  const before: WebhookTarget =
    row.sealed.byteLength === 0 ? { url: null, secret: null, previousSecret: null } : await seal.open(row.id, row.sealed);
  const made = rotateSecret && rotateSecret.secret === undefined ? newSecret() : null;
  const secret = rotateSecret?.secret ?? made;
  const target = {
    ...before,
    ...(url === undefined ? {} : { url }),
    ...(secret === null ? {} : { secret, previousSecret: before.secret }),
  };
  const until = rotateSecret ? { keepPreviousSeconds: rotateSecret.keepSeconds } : {};
  return { changes: { ...given, ...until, sealed: await seal.close(row.id, target) }, secret: made };
}

export const testEvent = ({ username, project, userId }: Actor): ToldEvent => ({
  number: null,
  type: "access",
  name: "webhook.test",
  subjectId: userId,
  operationId: null,
  project,
  at: new Date().toISOString(),
  body: { name: `a test by ${username}` },
});
