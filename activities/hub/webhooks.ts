/**
 * One attempt to deliver an event, and the row that tells of it.
 *
 * The one idea: everything is read at the attempt itself: whether the webhook is still wanted, whether its owner may still see the event, where it leads and
 * what signs it. A receiver's failure is an outcome that is written down, never a fault.
 */
import { z } from "zod";
import { factsOfEvents } from "../../db/event-facts.ts";
import type { Database } from "../../db/connect.ts";
import { findReader } from "../../db/users.ts";
import { attemptDone, findDeliveryRow, recordAttempt, type DeliveryRow } from "../../db/webhook-deliveries.ts";
import { signsWithPrevious, webhookById, type WebhookRow } from "../../db/webhooks.ts";
import { maySeeEvent } from "../../domain/events/rules.ts";
import { Event } from "../../domain/events/schema.ts";
import type { ToldEvent } from "../../domain/webhooks/formats.ts";
import type { Sealer } from "../../security/sealing.ts";
import { webhookSeal } from "../../security/sealed-texts.ts";
import type { DeliverActivities } from "../../workflows/webhooks/deliver.ts";
import type { Sending, Sent } from "./webhook-senders.ts";

export interface DeliverParts {
  readonly db: Database;
  readonly sealer: Sealer;
  readonly send: (sending: Sending) => Promise<Sent>;
}

/** As rows keep it: with its time as text. */
const Told = Event.extend({ at: z.string(), number: z.int().nullable() });

export function deliverActivities(parts: DeliverParts): DeliverActivities {
  return {
    attemptDelivery: async ({ deliveryId, round, attempt, waitMs }) => {
      const { db } = parts;
      const done = await attemptDone(db, { deliveryId, round, attempt });
      if (done !== null) return done ? "delivered" : "failed";
      const row = await findDeliveryRow(db, deliveryId);
      const webhook = row && row.round === round && row.state === "pending" ? await webhookById(db, row.webhookId) : null;
      if (!row || !webhook) return "over";
      const began = performance.now();
      const sent = await attemptOnce(parts, webhook, row);
      const { delivered, status, problem, snippet, isFinal } = sent;
      const durationMs = Math.round(performance.now() - began);
      await recordAttempt(db, { deliveryId, round, attempt, durationMs, delivered, status, problem, snippet }, isFinal ? null : waitMs);
      if (delivered) return "delivered";
      return isFinal ? "over" : "failed";
    },
  };
}

async function attemptOnce({ db, sealer, send }: DeliverParts, webhook: WebhookRow, row: DeliveryRow): Promise<Sent> {
  const notSent = (problem: string): Sent => ({ delivered: false, status: null, problem, snippet: null, isFinal: true });
  if (!webhook.enabled) return notSent("The webhook is disabled.");
  const event: ToldEvent = Told.parse(row.event);
  if (!(await ownerMaySee(db, webhook, event)))
    return notSent(`${webhook.createdBy}, in whose name it is sent, may not see this event any more.`);
  const target = await webhookSeal(sealer).open(webhook.id, webhook.sealed);
  const secrets = [target.secret, (await signsWithPrevious(db, webhook.id)) ? target.previousSecret : null];
  return send({
    kind: webhook.kind,
    url: target.url,
    secrets: secrets.filter((secret) => secret !== null),
    recipients: webhook.recipients,
    told: { deliveryId: row.id, webhook: webhook.name, event },
  });
}

/** Judged anew, because the owner, its rights or what the event tells of may have changed since it was chosen. */
async function ownerMaySee(db: Database, webhook: WebhookRow, { number, at, ...event }: ToldEvent): Promise<boolean> {
  const owner = await findReader(db, webhook.createdById);
  if (!owner) return false;
  if (number === null) return true;
  const facts = await factsOfEvents(db, [{ ...event, number, at: new Date(at) }]);
  const about = facts.get(number);
  return about !== undefined && maySeeEvent(owner, about);
}
