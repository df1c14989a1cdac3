/**
 * `/catalog-managers`: catalogs of other hubs, or of Parallels DevOps services, kept here, listed, pulled and pushed through.
 *
 * The one idea: whoever may use a manager acts there with the manager's credentials; what the caller may not see is taken out here, and what takes long is an
 * operation that knows the manager and no credentials.
 */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import {
  CatalogManagerChange,
  credentialsIn,
  managerUrl,
  NewCatalogManager,
  RemoteImage,
  ToldCatalogManager,
  type CatalogManager,
} from "../../domain/catalog/managers.ts";
import { NewImageVersion } from "../../domain/catalog/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { withoutAbsent } from "../../domain/fields.ts";
import { HostId } from "../../domain/ids.ts";
import { NewMachine } from "../../domain/machines/schema.ts";
import { Operation } from "../../domain/operations/schema.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, idempotent, pageOf, routesOf } from "../route.ts";
import { changeManager, credentialsOf, forgetManager, keepManager, managerFor, managersSeen } from "./managers.ts";
import { bringMachine, imagesBehind } from "./through-machines.ts";
import { placeIn, pulling, pushing, sendBundle } from "./through-transfers.ts";
import { listing, mustPassThrough } from "./wire-through.ts";
import { either } from "./wire-managers.ts";

const tags = ["catalog managers"];
const params = z.object({ id: z.string().min(1).max(128) });

export const managerRoutes = (hub: Hub) =>
  routesOf().route("/", readRoutes(hub)).route("/", changeRoutes(hub)).route("/", throughRoutes(hub));

async function told(hub: Hub, manager: CatalogManager): Promise<ToldCatalogManager> {
  const { username, apiKey } = await credentialsOf(hub, manager.id);
  const authentication = apiKey !== "" ? "api_key" : username !== "" ? "password" : "none";
  return ToldCatalogManager.parse({ ...manager, authentication });
}

function readRoutes(hub: Hub) {
  const middleware = authorised(hub, either("LIST"));
  const list = createRoute({
    method: "get",
    path: "/catalog-managers",
    operationId: "listCatalogManagers",
    summary: "List the catalog managers that you may use",
    tags,
    middleware,
    responses: { 200: json(pageOf(ToldCatalogManager), "In the order in which they were made."), ...faults() },
  });
  const get = createRoute({
    method: "get",
    path: "/catalog-managers/{id}",
    operationId: "getCatalogManager",
    summary: "Get a catalog manager",
    tags,
    middleware,
    request: { params },
    responses: {
      200: json(ToldCatalogManager, "The manager, without its credentials."),
      ...faults("catalog_manager_not_found", "not_owner"),
    },
  });
  return routesOf()
    .openapi(list, async (c) => {
      const items = await Promise.all((await managersSeen(hub, actorOf(c))).map((one) => told(hub, one)));
      return c.json({ items, nextCursor: null }, 200);
    })
    .openapi(get, async (c) => c.json(await told(hub, await managerFor(hub, actorOf(c), c.req.valid("param").id, "LIST")), 200));
}

const unreached = ["address_forbidden", "remote_unreachable", "remote_denied", "not_owner"] as const;

function changeRoutes(hub: Hub) {
  const add = createRoute({
    method: "post",
    path: "/catalog-managers",
    operationId: "addCatalogManager",
    summary: "Keep a catalog manager, once its catalog answered with its credentials",
    tags,
    middleware: authorised(hub, either("CREATE")),
    request: { body: { required: true, ...json(NewCatalogManager, "Where it is, and how it knows us.") } },
    responses: { 201: json(ToldCatalogManager, "The manager."), ...faults(...unreached) },
  });
  const change = createRoute({
    method: "patch",
    path: "/catalog-managers/{id}",
    operationId: "changeCatalogManager",
    summary: "Change a catalog manager, once its catalog answered",
    tags,
    middleware: authorised(hub, either("UPDATE")),
    request: { params, body: { required: true, ...json(CatalogManagerChange, "What is to be different.") } },
    responses: { 200: json(ToldCatalogManager, "As it is now."), ...faults("catalog_manager_not_found", ...unreached) },
  });
  return routesOf()
    .openapi(add, async (c) => {
      const { credentials, url, ...words } = c.req.valid("json");
      const wanted = { ...words, url: managerUrl(url) ?? url, internal: false, authenticationMethod: "" };
      return c.json(await told(hub, await keepManager(hub, askedBy(c), wanted, credentialsIn(credentials))), 201);
    })
    .openapi(change, async (c) => {
      const known = await managerFor(hub, actorOf(c), c.req.valid("param").id, "UPDATE");
      const { credentials: given, url, ...words } = c.req.valid("json");
      const { name, internal, active, authenticationMethod, global, requiredClaims } = known;
      const before = { name, internal, active, authenticationMethod, global, requiredClaims, url: known.url };
      const wanted = { ...before, ...withoutAbsent(words), ...(url === undefined ? {} : { url: managerUrl(url) ?? url }) };
      const credentials = given ? credentialsIn(given) : await credentialsOf(hub, known.id);
      return c.json(
        await told(hub, await changeManager(hub, askedBy(c), known, wanted, { credentials, renewed: given !== undefined })),
        200,
      );
    })
    .route("/", removeRoutes(hub));
}

function removeRoutes(hub: Hub) {
  const remove = createRoute({
    method: "delete",
    path: "/catalog-managers/{id}",
    operationId: "removeCatalogManager",
    summary: "Forget a catalog manager and its credentials; what came through it stays",
    tags,
    middleware: authorised(hub, either("DELETE")),
    request: { params },
    responses: { 204: { description: "Gone." }, ...faults("catalog_manager_not_found", "not_owner") },
  });
  return routesOf().openapi(remove, async (c) => {
    await forgetManager(hub, askedBy(c), await managerFor(hub, actorOf(c), c.req.valid("param").id, "DELETE"));
    return c.body(null, 204);
  });
}

const RemotePush = NewImageVersion.omit({ storeId: true })
  .extend({
    hostId: HostId.meta({ description: "The host that has the bundle." }),
    connection: z.string().min(1).max(8192).meta({
      description:
        "The store that both sides reach, as the other catalog is to know it: provider=aws-s3;bucket=...;region=...;access_key=...",
    }),
  })
  .meta({ id: "RemotePush" });
const RemotePull = NewMachine.omit({ count: true }).meta({
  id: "RemotePull",
  description: "A machine; its image is one of the other catalog, as that calls it.",
});

function throughRoutes(hub: Hub) {
  const images = createRoute({
    method: "get",
    path: "/catalog-managers/{id}/images",
    operationId: "listRemoteImages",
    summary: "List the images of another catalog that you may see",
    tags,
    middleware: authorised(hub, listing),
    request: { params },
    responses: { 200: json(pageOf(RemoteImage), "As that catalog lists them."), ...faults("catalog_manager_not_found", ...unreached) },
  });
  return routesOf()
    .openapi(images, async (c) => {
      const manager = await mustPassThrough(hub, actorOf(c), c.req.valid("param").id);
      return c.json({ items: await imagesBehind(hub, { c, actor: actorOf(c) }, manager), nextCursor: null }, 200);
    })
    .route("/", transferRoutes(hub));
}

function transferRoutes(hub: Hub) {
  const pull = createRoute({
    method: "post",
    path: "/catalog-managers/{id}/machines",
    operationId: "pullThroughCatalogManager",
    summary: "Make a machine from an image of another catalog",
    tags,
    middleware: authorised(hub, pulling),
    request: { params, headers: idempotent, body: { required: true, ...json(RemotePull, "The machine, and the image there.") } },
    responses: {
      202: json(Operation, "Accepted: the image comes first, then its machine."),
      ...faults("catalog_manager_not_found", "image_not_found", "image_tainted", "image_revoked", "idempotency_conflict", ...unreached),
    },
  });
  const push = createRoute({
    method: "post",
    path: "/catalog-managers/{id}/images",
    operationId: "pushThroughCatalogManager",
    summary: "Publish a bundle of a host in another catalog",
    tags,
    middleware: authorised(hub, pushing),
    request: { params, headers: idempotent, body: { required: true, ...json(RemotePush, "The bundle, and where both sides meet.") } },
    responses: {
      202: json(Operation, "Accepted."),
      ...faults("catalog_manager_not_found", "host_not_found", "path_forbidden", "idempotency_conflict", ...unreached),
    },
  });
  return routesOf()
    .openapi(pull, async (c) => {
      const manager = await mustPassThrough(hub, actorOf(c), c.req.valid("param").id);
      const machine = c.req.valid("json");
      const { catalogId, version = "", architecture = "" } = machine.image;
      const call = { c, actor: actorOf(c), asked: askedBy(c, machine) };
      const { operation } = await bringMachine(hub, call, manager, { catalog_id: catalogId, version, architecture }, machine);
      return c.json(operation, 202);
    })
    .openapi(push, async (c) => {
      const manager = await mustPassThrough(hub, actorOf(c), c.req.valid("param").id);
      const { connection, ...version }: z.output<typeof RemotePush> = c.req.valid("json");
      const place = unwrap(placeIn(connection));
      return c.json(await sendBundle(hub, askedBy(c, { ...version, connection }), { manager, version, place }), 202);
    });
}
