/**
 * `/operations`: list, read, wait, follow, cancel, and what guest commands wrote.
 *
 * The one idea: whoever may see all operations sees all of their project; others see those that they asked for, and no trace of the rest.
 */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { listOperations } from "../../db/operations.ts";
import { listOutput } from "../../db/outputs.ts";
import { holds } from "../../domain/access/rules.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { HostId, MachineId, OperationId } from "../../domain/ids.ts";
import { OutputLine } from "../../domain/machines/schema.ts";
import { Operation, OperationState, Verb } from "../../domain/operations/schema.ts";
import { outputSeal } from "../../security/sealed-texts.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised, mustStillBe } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, pageOf, pageQuery, routesOf } from "../route.ts";
import { detailOf, OperationDetail } from "./detail.ts";
import { settled } from "./settled.ts";
import { operationEvents } from "./stream.ts";
import { endable, ending, found } from "./visible.ts";

const tags = ["operations"];
const params = z.object({ id: OperationId });
/** Below the idle limit of common proxies. */
const longestWaitSeconds = 60;

const seeing = { claims: ["JOB_MANAGER_LIST", "JOB_MANAGER_LIST_OWN"], any: true } as const;

export const operationRoutes = (hub: Hub) =>
  routesOf()
    .route("/", readRoutes(hub))
    .route("/", cancelRoutes(hub))
    .route("/", followRoutes(hub))
    .route("/", outputRoutes(hub))
    .route("/", screenRoutes(hub));

function readRoutes(hub: Hub) {
  const mayRead = authorised(hub, seeing);
  const list = createRoute({
    method: "get",
    path: "/operations",
    operationId: "listOperations",
    summary: "List operations, newest first",
    tags,
    middleware: mayRead,
    request: {
      query: z.object({
        state: OperationState.optional(),
        verb: Verb.optional(),
        machineId: MachineId.optional(),
        hostId: HostId.optional(),
        image: z.string().max(512).optional(),
        ...pageQuery,
      }),
    },
    responses: { 200: json(pageOf(Operation), "One page."), ...faults() },
  });
  const get = createRoute({
    method: "get",
    path: "/operations/{id}",
    operationId: "getOperation",
    summary: "Get an operation with its steps and progress",
    tags,
    middleware: mayRead,
    request: { params },
    responses: { 200: json(OperationDetail, "The operation."), ...faults("operation_not_found") },
  });

  return routesOf()
    .openapi(list, async (c) => {
      const { cursor, limit, ...filter } = c.req.valid("query");
      const actor = actorOf(c);
      const own = holds(actor, "JOB_MANAGER_LIST") ? {} : { actorId: actor.userId };
      return c.json(await listOperations(hub.db, { ...filter, ...own, project: actor.project }, { cursor, limit }), 200);
    })
    .openapi(get, async (c) => c.json(await detailOf(hub, await found(hub, c.req.valid("param").id, actorOf(c))), 200));
}

function cancelRoutes(hub: Hub) {
  const cancel = createRoute({
    method: "post",
    path: "/operations/{id}/cancel",
    operationId: "cancelOperation",
    summary: "Cancel an operation: what it did is taken back",
    tags,
    middleware: authorised(hub, ending),
    request: { params },
    responses: { 202: json(Operation, "Cancelling."), ...faults("operation_not_found", "operation_settled") },
  });

  return routesOf().openapi(cancel, async (c) => {
    const { id } = await endable(hub, c.req.valid("param").id, actorOf(c));
    return c.json(unwrap(await hub.operations.cancel(id, askedBy(c))), 202);
  });
}

function followRoutes(hub: Hub) {
  const mayRead = authorised(hub, seeing);
  const wait = createRoute({
    method: "get",
    path: "/operations/{id}/wait",
    operationId: "waitForOperation",
    summary: "Get an operation once it has ended, or as it is when the time is over",
    tags,
    middleware: mayRead,
    request: {
      params,
      query: z.object({
        timeout: z.coerce.number().min(0).max(longestWaitSeconds).default(longestWaitSeconds).meta({ description: "Seconds." }),
      }),
    },
    responses: { 200: json(OperationDetail, "The operation."), ...faults("operation_not_found") },
  });
  const events = createRoute({
    method: "get",
    path: "/operations/{id}/events",
    operationId: "followOperation",
    summary: "Follow an operation's events (server-sent events)",
    tags,
    middleware: mayRead,
    request: { params, headers: z.object({ "last-event-id": z.string().max(20).optional() }) },
    responses: {
      200: {
        description: "Events with numbers, and `state` with the whole operation whenever it changed. Ends with the operation.",
        content: { "text/event-stream": { schema: z.string() } },
      },
      ...faults("operation_not_found"),
    },
  });

  return routesOf()
    .openapi(wait, async (c) => {
      const { id } = await found(hub, c.req.valid("param").id, actorOf(c));
      const over = AbortSignal.any([c.req.raw.signal, AbortSignal.timeout(c.req.valid("query").timeout * 1000)]);
      return c.json(await detailOf(hub, await settled(hub, id, over, async () => found(hub, id, await mustStillBe(hub, c)))), 200);
    })
    .openapi(events, async (c) => {
      const { id } = await found(hub, c.req.valid("param").id, actorOf(c));
      const after = Number(c.req.valid("header")["last-event-id"] ?? 0);
      const check = async () => found(hub, id, await mustStillBe(hub, c));
      return operationEvents(hub, c, { operationId: id, after: Number.isSafeInteger(after) && after > 0 ? after : 0, check });
    });
}

function outputRoutes(hub: Hub) {
  const mayRead = authorised(hub, seeing);
  const output = createRoute({
    method: "get",
    path: "/operations/{id}/output",
    operationId: "getOutput",
    summary: "Read what a guest command wrote",
    tags,
    middleware: mayRead,
    request: {
      params,
      query: z.object({
        after: z.coerce.number().int().min(0).default(0),
        limit: z.coerce.number().int().min(1).max(10_000).default(1000),
      }),
    },
    responses: {
      200: json(z.object({ items: z.array(OutputLine), cut: z.boolean() }), "Lines after the given one."),
      ...faults("operation_not_found"),
    },
  });

  const seal = outputSeal(hub.sealer);
  return routesOf().openapi(output, async (c) => {
    const { id } = await found(hub, c.req.valid("param").id, actorOf(c));
    return c.json(await listOutput(hub.db, seal, { operationId: id, ...c.req.valid("query") }), 200);
  });
}

function screenRoutes(hub: Hub) {
  const screen = createRoute({
    method: "get",
    path: "/operations/{id}/screen",
    operationId: "getScreen",
    summary: "Get the picture that a capture took",
    tags,
    middleware: authorised(hub, seeing),
    request: { params },
    responses: { 200: { description: "The screen.", content: { "image/png": { schema: z.string() } } }, ...faults("operation_not_found") },
  });

  const seal = outputSeal(hub.sealer);
  return routesOf().openapi(screen, async (c) => {
    const { id, verb, state } = await found(hub, c.req.valid("param").id, actorOf(c));
    const { items } =
      verb === "capture" && state === "done"
        ? await listOutput(hub.db, seal, { operationId: id, after: 0, limit: 100_000 })
        : { items: [] };
    if (items.length === 0)
      throw new FaultError({ code: "operation_not_found", message: `The operation ${id} has taken no picture.`, subject: id });
    return c.body(Buffer.from(items.map(({ text }) => text).join(""), "base64"), 200, {
      "Content-Type": "image/png",
      "Cache-Control": "no-store",
    });
  });
}
