/**
 * `/stores`: which there are, how one is added, how its credentials are renewed.
 *
 * The one idea: a store is asked with its credentials before they are kept, so what is kept has worked. They go in and never come out.
 */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { findStore, listStores } from "../../db/stores.ts";
import { Store } from "../../domain/catalog/schema.ts";
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
    accessKey: z.string().min(1).optional(),
    secretKey: z.string().min(1).optional(),
  })
  .meta({ id: "NewStore", description: "The secret is sealed and never told again." });
const StoreChange = z
  .object({ accessKey: z.string().min(1), secretKey: z.string().min(1) })
  .meta({ id: "StoreChange", description: "New credentials, once the store has taken them. The secret is sealed and never told again." });

export const storeRoutes = (hub: Hub) => routesOf().route("/", readRoutes(hub)).route("/", changeRoutes(hub));

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
  const add = createRoute({
    method: "post",
    path: "/stores",
    operationId: "addStore",
    summary: "Add a store",
    tags,
    middleware: mayChange,
    request: { body: { required: true, ...json(NewStore, "Where it is, and its credentials.") } },
    responses: { 201: json(Store, "The store."), ...faults("store_invalid", "store_foreign", "store_denied", "store_unavailable") },
  });
  const update = createRoute({
    method: "patch",
    path: "/stores/{id}",
    operationId: "updateStore",
    summary: "Renew the credentials of a store",
    tags,
    middleware: mayChange,
    request: { params, body: { required: true, ...json(StoreChange, "Its new credentials.") } },
    responses: {
      200: json(Store, "The store."),
      ...faults("store_not_found", "store_invalid", "store_foreign", "store_denied", "store_unavailable"),
    },
  });

  return routesOf()
    .openapi(add, async (c) => {
      const { accessKey, secretKey, ...wanted } = c.req.valid("json");
      const secret = accessKey !== undefined && secretKey !== undefined ? { accessKey, secretKey } : {};
      const store = unwrap(await hub.stores.add({ ...wanted, ...secret }, actorOf(c)));
      return c.json(await audited(hub, askedBy(c), { action: "store.add", subject: store.name }, async () => store), 201);
    })
    .openapi(update, async (c) => {
      const store = unwrap(await hub.stores.renew(c.req.valid("param").id, c.req.valid("json")));
      return c.json(await audited(hub, askedBy(c), { action: "store.update", subject: store.name }, async () => store), 200);
    });
}
