/**
 * `/stores`: which there are, how one is added, changed, tried and forgotten.
 *
 * The one idea: a store is asked with its credentials before they are kept, so what is kept has worked. They go in and never come out.
 */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { findStore, listStores } from "../../db/stores.ts";
import { Store, StoreLimits } from "../../domain/catalog/schema.ts";
import { StoreCredentials } from "../../domain/catalog/store-credentials.ts";
import type { StoreTrial } from "../../domain/catalog/store-trial.ts";
import { unwrap } from "../../domain/errors.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, routesOf } from "../route.ts";
import { audited } from "../told.ts";

const tags = ["stores"];
const params = z.object({ id: z.string().min(1).max(128) });
const NewStore = z
  .object({
    name: z.string().min(1).max(128),
    location: z.string().min(1).max(1024),
    credentials: StoreCredentials.nullable().default(null),
    readOnly: z.boolean().default(false).meta({ description: "Nothing is ever written to it: a catalog of somebody else." }),
  })
  .meta({ id: "NewStore", description: "Credentials are sealed and never told again." });
const StoreChange = z
  .object({
    name: z.string().min(1).max(128).optional(),
    location: z.string().min(1).max(1024).optional().meta({ description: "Another way to the same place." }),
    credentials: StoreCredentials.optional(),
    readOnly: z.boolean().optional(),
    maxBytesPerSecond: StoreLimits.maxBytesPerSecond.optional(),
    maxRequests: StoreLimits.maxRequests.optional(),
  })
  .meta({
    id: "StoreChange",
    description: "What is to change, once the store was reached with it. Credentials are sealed and never told again.",
  });

export const storeRoutes = (hub: Hub) => routesOf().route("/", readRoutes(hub)).route("/", changeRoutes(hub)).route("/", lifeRoutes(hub));

function readRoutes(hub: Hub) {
  const mayRead = authorised(hub, { claims: ["LIST_CATALOG_MANIFEST"] });
  const list = createRoute({
    method: "get",
    path: "/stores",
    operationId: "listStores",
    summary: "List stores",
    tags,
    middleware: mayRead,
    responses: { 200: json(z.object({ items: z.array(Store) }), "All of them, without credentials."), ...faults() },
  });
  const get = createRoute({
    method: "get",
    path: "/stores/{id}",
    operationId: "getStore",
    summary: "Get a store by id or name",
    tags,
    middleware: mayRead,
    request: { params },
    responses: { 200: json(Store, "The store."), ...faults("store_not_found") },
  });

  return routesOf()
    .openapi(list, async (c) => c.json({ items: await listStores(hub.db) }, 200))
    .openapi(get, async (c) => c.json(unwrap(await findStore(hub.db, c.req.valid("param").id)), 200));
}

function changeRoutes(hub: Hub) {
  const mayChange = authorised(hub, { superUser: true });
  const reaching = ["store_invalid", "store_exists", "store_foreign", "store_denied", "store_unavailable"] as const;
  const add = createRoute({
    method: "post",
    path: "/stores",
    operationId: "addStore",
    summary: "Add a store",
    tags,
    middleware: mayChange,
    request: { body: { required: true, ...json(NewStore, "Where it is, and its credentials.") } },
    responses: { 201: json(Store, "The store."), ...faults(...reaching) },
  });
  const update = createRoute({
    method: "patch",
    path: "/stores/{id}",
    operationId: "updateStore",
    summary: "Change a store's name, its credentials, how it is reached, and what may be asked of it",
    tags,
    middleware: mayChange,
    request: { params, body: { required: true, ...json(StoreChange, "What is to change.") } },
    responses: { 200: json(Store, "The store."), ...faults("store_not_found", "store_in_use", ...reaching) },
  });
  return routesOf()
    .openapi(add, async (c) => {
      const store = unwrap(await hub.stores.add(c.req.valid("json"), actorOf(c)));
      return c.json(await audited(hub, askedBy(c), { action: "store.add", subject: store.name }, async () => store), 201);
    })
    .openapi(update, async (c) => {
      const store = unwrap(await hub.stores.change(c.req.valid("param").id, c.req.valid("json")));
      return c.json(await audited(hub, askedBy(c), { action: "store.update", subject: store.name }, async () => store), 200);
    });
}

function lifeRoutes(hub: Hub) {
  const mayChange = authorised(hub, { superUser: true });
  const shared = { tags, middleware: mayChange, request: { params } };
  const makeDefault = createRoute({
    ...shared,
    method: "post",
    path: "/stores/{id}/default",
    operationId: "makeStoreDefault",
    summary: "Make a store the one for pushes that name none",
    responses: { 200: json(Store, "The store."), ...faults("store_not_found", "store_read_only") },
  });
  const remove = createRoute({
    ...shared,
    method: "delete",
    path: "/stores/{id}",
    operationId: "removeStore",
    summary: "Forget a store that nothing points to; what lies in it stays",
    responses: { 204: { description: "It is forgotten." }, ...faults("store_not_found", "store_in_use") },
  });
  const test = createRoute({
    ...shared,
    method: "post",
    path: "/stores/{id}/test",
    operationId: "testStore",
    summary: "Try every right that a transfer needs of a store",
    responses: {
      200: { description: "One JSON line per right, as soon as it was tried.", content: { "text/jsonl": { schema: z.string() } } },
      ...faults("store_not_found", "store_invalid"),
    },
  });
  return routesOf()
    .openapi(makeDefault, async (c) => {
      const store = unwrap(await hub.stores.makeDefault(c.req.valid("param").id));
      return c.json(await audited(hub, askedBy(c), { action: "store.default", subject: store.name }, async () => store), 200);
    })
    .openapi(remove, async (c) => {
      const store = unwrap(await hub.stores.remove(c.req.valid("param").id));
      await audited(hub, askedBy(c), { action: "store.remove", subject: store.name }, async () => store);
      return c.body(null, 204);
    })
    .openapi(test, async (c) => {
      const trials = await hub.stores.test(c.req.valid("param").id, c.req.raw.signal);
      return c.body(linesOf(trials), 200, { "Content-Type": "text/jsonl" });
    });
}

function linesOf(trials: AsyncIterable<StoreTrial>): ReadableStream<Uint8Array<ArrayBuffer>> {
  const source = trials[Symbol.asyncIterator]();
  return new ReadableStream({
    pull: async (controller) => {
      const { done, value } = await source.next();
      if (done === true) controller.close();
      else controller.enqueue(new TextEncoder().encode(`${JSON.stringify(value)}\n`));
    },
    cancel: async () => void (await source.return?.()),
  });
}
