/**
 * Turns events into deliveries, and starts their workflows.
 *
 * The one idea: a delivery is a row before it is a workflow, so what was written is sent whatever happens; its workflow's id is its own, so two starts are one.
 * Events are chosen with the rights that the webhook's owner has at that moment.
 */
import { WorkflowExecutionAlreadyStartedError } from "@temporalio/client";
import type { Database } from "../db/connect.ts";
import { factsOfEvents } from "../db/event-facts.ts";
import { goOnAfter, lastEventNumber, listEvents } from "../db/events.ts";
import { findReader } from "../db/users.ts";
import {
  countPending,
  deliveriesOverdue,
  deliveriesToBegin,
  deliveryBegun,
  endRound,
  insertDeliveries,
  type DeliveryRow,
} from "../db/webhook-deliveries.ts";
import { moveWebhook, webhookById, webhooksBehind, type WebhookRow } from "../db/webhooks.ts";
import { maySeeEvent } from "../domain/events/rules.ts";
import { hubQueue } from "../domain/operations/rules.ts";
import { deliveryWorkflowId, wantsEvent } from "../domain/webhooks/rules.ts";
import type { DeliverInput } from "../workflows/webhooks/deliver.ts";
import { answered, statusOf, type Control } from "./start.ts";

const batch = 500;
/** What one pass does at most for one webhook; the rest comes next. */
const batchesPerPass = 10;
const startsPerPass = 100;
/** More that wait for a receiver are left in the events, as long as those are kept. */
const mostPending = 10_000;

export async function sendEvents(control: Control): Promise<void> {
  for (const webhook of await webhooksBehind(control.db)) {
    await writeDeliveries(control.db, webhook).catch((err: unknown) =>
      control.log.error(
        { event: "webhook.not_written", webhook: webhook.id, err },
        "deliveries could not be written; they are tried again",
      ),
    );
  }
  for (const delivery of await deliveriesToBegin(control.db, startsPerPass)) await begin(control, delivery);
}

async function writeDeliveries(db: Database, webhook: WebhookRow): Promise<void> {
  const owner = await findReader(db, webhook.createdById);
  if (!owner) {
    const problem = `The user ${webhook.createdBy}, in whose name it sends, is gone: whoever changes the webhook takes it over.`;
    await moveWebhook(db, webhook, { enabled: false, problem });
    return;
  }
  if ((await countPending(db, webhook.id)) >= mostPending) {
    const problem = `${mostPending} deliveries wait for the receiver: later events are left until some have ended, and are lost where that takes too long.`;
    if (webhook.problem !== problem) await moveWebhook(db, webhook, { problem });
    return;
  }
  let at = { id: webhook.id, toldNumber: webhook.toldNumber };
  for (let done = 0; done < batchesPerPass; done += 1) {
    // Before the events are read: what is numbered meanwhile comes with the next batch.
    const newest = await lastEventNumber(db);
    if (at.toldNumber === newest) return;
    const after = await goOnAfter(db, at.toldNumber);
    const events = await listEvents(db, { after, limit: batch, project: webhook.project });
    const facts = await factsOfEvents(db, events);
    const wanted = events.filter((event) => {
      const about = facts.get(event.number);
      return about !== undefined && wantsEvent(webhook.events, event.name) && maySeeEvent(owner, about);
    });
    const toldNumber = events.length === batch ? (events.at(-1)?.number ?? newest) : Math.max(newest, events.at(-1)?.number ?? 0);
    const moved = await db.transaction(async (tx) => {
      if (!(await moveWebhook(tx, at, { toldNumber, problem: null }))) return false;
      await insertDeliveries(tx, webhook.id, wanted);
      return true;
    });
    if (!moved) return;
    at = { ...at, toldNumber };
  }
}

async function begin({ db, temporal, log }: Control, delivery: DeliveryRow): Promise<void> {
  const { id: deliveryId, webhookId, round, eventName } = delivery;
  try {
    const webhook = await webhookById(db, webhookId);
    if (!webhook) return;
    const input: DeliverInput = { interfaceVersion: 1, deliveryId, round, webhook: webhook.name };
    await answered(temporal, () =>
      temporal.workflow.start("deliver", {
        workflowId: deliveryWorkflowId({ id: webhookId, deliveryId, round }),
        taskQueue: hubQueue,
        workflowIdReusePolicy: "REJECT_DUPLICATE",
        args: [input],
        staticSummary: `deliver ${eventName} to ${webhook.name}`,
      }),
    ).catch((error: unknown) => {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    });
    await deliveryBegun(db, { id: deliveryId, round });
  } catch (err) {
    log.warn({ event: "delivery.start_failed", deliveryId, err }, "the workflow of a delivery could not be started; it is tried again");
  }
}

/** Ends deliveries whose workflow was ended from outside: their next attempt should have been long ago. */
export async function endLostDeliveries(control: Control): Promise<void> {
  for (const delivery of await deliveriesOverdue(control.db, startsPerPass)) {
    const { id, webhookId, round } = delivery;
    const status = await statusOf(control, deliveryWorkflowId({ id: webhookId, deliveryId: id, round }));
    if (status !== "RUNNING" && status !== "PAUSED") await endRound(control.db, delivery);
  }
}
