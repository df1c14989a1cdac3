/**
 * `/webhooks`: where events are sent, tried, watched and sent anew.
 *
 * The one idea: a webhook speaks in the name of whoever changed it last. So nobody has events sent that they may not see, and whoever points one elsewhere
 * answers for it.
 */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { findDelivery, insertTest, listDeliveries, redeliver } from "../../db/webhook-deliveries.ts";
import { changeWebhook, findWebhook, insertWebhook, listWebhooks, removeWebhook } from "../../db/webhooks.ts";
import { Delivery, DeliveryDetail, DeliveryState, MadeWebhook, NewWebhook, Webhook, WebhookChange } from "../../domain/webhooks/schema.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, pageOf, pageQuery, routesOf } from "../route.ts";
import { audited } from "../told.ts";
import { changesOf, madeOf, ownerOf, testEvent } from "./making.ts";

const tags = ["webhooks"];
const params = z.object({ idOrName: z.string().min(1).max(64) });
const needs = { claims: ["UPDATE"] } as const;

export const webhookRoutes = (hub: Hub) =>
  routesOf().route("/", keepRoutes(hub)).route("/", changeRoutes(hub)).route("/", testRoutes(hub)).route("/", deliveryRoutes(hub));

function keepRoutes(hub: Hub) {
  const list = createRoute({
    method: "get",
    path: "/webhooks",
    operationId: "listWebhooks",
    summary: "List where events are sent",
    tags,
    middleware: authorised(hub, needs),
    responses: { 200: json(pageOf(Webhook), "By name."), ...faults() },
  });
  const get = createRoute({
    method: "get",
    path: "/webhooks/{idOrName}",
    operationId: "getWebhook",
    summary: "Get a webhook by id or name",
    tags,
    middleware: authorised(hub, needs),
    request: { params },
    responses: { 200: json(Webhook, "The webhook."), ...faults("webhook_not_found") },
  });
  const add = createRoute({
    method: "post",
    path: "/webhooks",
    operationId: "addWebhook",
    summary: "Have events sent to an address, to Slack or by e-mail",
    tags,
    middleware: authorised(hub, needs),
    request: { body: { required: true, ...json(NewWebhook, "Where to, and which events.") } },
    responses: { 201: json(MadeWebhook, "The webhook, with its secret, which is not shown again."), ...faults("webhook_exists") },
  });

  return routesOf()
    .openapi(list, async (c) => c.json({ items: await listWebhooks(hub.db, actorOf(c).project), nextCursor: null }, 200))
    .openapi(get, async (c) => c.json(Webhook.parse(await findWebhook(hub.db, actorOf(c).project, c.req.valid("param").idOrName)), 200))
    .openapi(add, async (c) => {
      const wanted = c.req.valid("json");
      const actor = actorOf(c);
      const owner = await ownerOf(hub, actor);
      const { row, secret } = await madeOf(hub, wanted);
      const told = { action: "webhook.added", subject: wanted.name };
      const made = await audited(hub, askedBy(c), told, (tx) => insertWebhook(tx, { ...row, ...owner, project: actor.project }));
      return c.json({ ...made, secret }, 201);
    });
}

function changeRoutes(hub: Hub) {
  const change = createRoute({
    method: "patch",
    path: "/webhooks/{idOrName}",
    operationId: "changeWebhook",
    summary: "Change a webhook, or its secret, and take it over",
    tags,
    middleware: authorised(hub, needs),
    request: { params, body: { required: true, ...json(WebhookChange, "What changes.") } },
    responses: {
      200: json(MadeWebhook, "The webhook, with a new secret where one was asked for."),
      ...faults("webhook_not_found", "webhook_exists"),
    },
  });
  const remove = createRoute({
    method: "delete",
    path: "/webhooks/{idOrName}",
    operationId: "removeWebhook",
    summary: "Remove a webhook with its deliveries",
    tags,
    middleware: authorised(hub, needs),
    request: { params },
    responses: { 204: { description: "Gone." }, ...faults("webhook_not_found") },
  });
  return routesOf()
    .openapi(change, async (c) => {
      const wanted = c.req.valid("json");
      const actor = actorOf(c);
      const owner = await ownerOf(hub, actor);
      const { idOrName } = c.req.valid("param");
      const changed = await audited(hub, askedBy(c), { action: "webhook.changed", subject: idOrName }, async (tx) => {
        const row = await findWebhook(tx, actor.project, idOrName, { lock: true });
        const { changes, secret } = await changesOf(hub, row, wanted);
        return { ...(await changeWebhook(tx, row, { ...changes, ...owner })), secret };
      });
      return c.json(changed, 200);
    })
    .openapi(remove, async (c) => {
      const { idOrName } = c.req.valid("param");
      await audited(hub, askedBy(c), { action: "webhook.removed", subject: idOrName }, async (tx) =>
        removeWebhook(tx, (await findWebhook(tx, actorOf(c).project, idOrName, { lock: true })).id),
      );
      return c.body(null, 204);
    });
}

function testRoutes(hub: Hub) {
  const test = createRoute({
    method: "post",
    path: "/webhooks/{idOrName}/test",
    operationId: "testWebhook",
    summary: "Send a test to a webhook",
    tags,
    middleware: authorised(hub, needs),
    request: { params },
    responses: { 202: json(Delivery, "The delivery, which is tried within a second."), ...faults("webhook_not_found") },
  });

  return routesOf().openapi(test, async (c) => {
    const { idOrName } = c.req.valid("param");
    const actor = actorOf(c);
    const delivery = await audited(hub, askedBy(c), { action: "webhook.tested", subject: idOrName }, async (tx) => {
      const { id } = await findWebhook(tx, actor.project, idOrName);
      return insertTest(tx, id, testEvent(actor));
    });
    return c.json(delivery, 202);
  });
}

function deliveryRoutes(hub: Hub) {
  const list = createRoute({
    method: "get",
    path: "/webhooks/{idOrName}/deliveries",
    operationId: "listDeliveries",
    summary: "List what was sent to a webhook, newest first",
    tags,
    middleware: authorised(hub, needs),
    request: { params, query: z.object({ state: DeliveryState.optional(), ...pageQuery }) },
    responses: { 200: json(pageOf(Delivery), "One page."), ...faults("webhook_not_found") },
  });
  const get = createRoute({
    method: "get",
    path: "/deliveries/{id}",
    operationId: "getDelivery",
    summary: "Get a delivery with what came of each attempt",
    tags,
    middleware: authorised(hub, needs),
    request: { params: z.object({ id: z.string().max(64) }) },
    responses: { 200: json(DeliveryDetail, "The delivery."), ...faults("delivery_not_found") },
  });
  const again = createRoute({
    method: "post",
    path: "/deliveries/{id}/redeliver",
    operationId: "redeliver",
    summary: "Send a delivery anew, whatever became of it",
    tags,
    middleware: authorised(hub, needs),
    request: { params: z.object({ id: z.string().max(64) }) },
    responses: { 202: json(Delivery, "The delivery, in another round."), ...faults("delivery_not_found") },
  });

  return routesOf()
    .openapi(list, async (c) => {
      const { state, cursor, limit } = c.req.valid("query");
      const { id: webhookId } = await findWebhook(hub.db, actorOf(c).project, c.req.valid("param").idOrName);
      return c.json(await listDeliveries(hub.db, { webhookId, state }, { cursor, limit }), 200);
    })
    .openapi(get, async (c) => c.json(await findDelivery(hub.db, actorOf(c).project, c.req.valid("param").id), 200))
    .openapi(again, async (c) => {
      const { id } = await findDelivery(hub.db, actorOf(c).project, c.req.valid("param").id);
      const told = { action: "delivery.redelivered", subject: id };
      return c.json(await audited(hub, askedBy(c), told, (tx) => redeliver(tx, id)), 202);
    });
}
