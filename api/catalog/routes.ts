/** `/images`: what there is, how a version comes to be, how a host gets it. What a reader may not see does not exist for them. */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { deleteVersion, listImages } from "../../db/images.ts";
import { findHost } from "../../db/hosts.ts";
import { Architecture, CatalogId, ImageReference, ImageVersion, NewImageVersion, Version } from "../../domain/catalog/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { withoutAbsent } from "../../domain/fields.ts";
import { OnFault, Operation } from "../../domain/operations/schema.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, idempotent, pageOf, pageQuery, routesOf } from "../route.ts";
import { aboutImage, telling } from "../told.ts";
import { archiveDownload } from "./archive-download.ts";
import { archiveRoutes } from "./archive-routes.ts";
import { careRoutes } from "./care-routes.ts";
import { imageChangeRoutes } from "./image-routes.ts";
import { storeRoutes } from "./store-routes.ts";
import { imageKey, visibleImage } from "./visible.ts";

const tags = ["images"];
const HostPull = ImageReference.extend({ onFault: OnFault.default("park") }).meta({ id: "HostPull" });

export const catalogRoutes = (hub: Hub) =>
  routesOf()
    .route("/", imageRoutes(hub))
    .route("/", removeRoutes(hub))
    .route("/", transferRoutes(hub))
    .route("/", storeRoutes(hub))
    .route("/", archiveRoutes(hub))
    .route("/", archiveDownload(hub))
    .route("/", imageChangeRoutes(hub))
    .route("/", careRoutes(hub));

function imageRoutes(hub: Hub) {
  const mayRead = authorised(hub, { claims: ["LIST_CATALOG_MANIFEST"] });
  const list = createRoute({
    method: "get",
    path: "/images",
    operationId: "listImages",
    summary: "List image versions, newest first",
    tags,
    middleware: mayRead,
    request: {
      query: z.object({
        catalogId: CatalogId.optional(),
        version: Version.optional(),
        architecture: Architecture.optional(),
        tag: z.string().max(128).optional(),
        ...pageQuery,
      }),
    },
    responses: { 200: json(pageOf(ImageVersion), "One page."), ...faults() },
  });
  const get = createRoute({
    method: "get",
    path: "/images/{catalogId}/{version}/{architecture}",
    operationId: "getImage",
    summary: "Get an image version",
    tags,
    middleware: mayRead,
    request: { params: imageKey },
    responses: { 200: json(ImageVersion, "The version."), ...faults("image_not_found") },
  });

  return routesOf()
    .openapi(list, async (c) => {
      const { cursor, limit, ...filter } = c.req.valid("query");
      const actor = actorOf(c);
      const visibleTo = actor.isSuperUser ? undefined : actor;
      return c.json(await listImages(hub.db, { ...withoutAbsent(filter), project: actor.project, visibleTo }, { cursor, limit }), 200);
    })
    .openapi(get, async (c) => c.json(await visibleImage(hub, c.req.valid("param"), actorOf(c)), 200));
}

function removeRoutes(hub: Hub) {
  const remove = createRoute({
    method: "delete",
    path: "/images/{catalogId}/{version}/{architecture}",
    operationId: "deleteImage",
    summary: "Remove an image version; its bytes are swept later",
    tags,
    middleware: authorised(hub, { claims: ["DELETE_CATALOG_MANIFEST"] }),
    request: { params: imageKey },
    responses: { 204: { description: "Gone." }, ...faults("image_not_found", "image_busy") },
  });

  return routesOf().openapi(remove, async (c) => {
    const image = await visibleImage(hub, c.req.valid("param"), actorOf(c));
    await telling(hub, askedBy(c), aboutImage("deleted", image), (tx) => deleteVersion(tx, image));
    return c.body(null, 204);
  });
}

function transferRoutes(hub: Hub) {
  const push = createRoute({
    method: "post",
    path: "/images",
    operationId: "pushImage",
    summary: "Publish a bundle as an image version",
    tags,
    middleware: authorised(hub, { claims: ["PUSH_CATALOG_MANIFEST"] }),
    request: { headers: idempotent, body: { required: true, ...json(NewImageVersion, "What to publish.") } },
    responses: {
      202: json(Operation, "Accepted."),
      ...faults("image_exists", "host_not_found", "store_not_found", "host_disabled", "idempotency_conflict"),
    },
  });
  const pull = createRoute({
    method: "post",
    path: "/hosts/{id}/images",
    operationId: "pullImage",
    summary: "Bring an image into a host's cache",
    tags,
    middleware: authorised(hub, { claims: ["PULL_CATALOG_MANIFEST"] }),
    request: {
      params: z.object({ id: z.string().min(1).max(128) }),
      headers: idempotent,
      body: { required: true, ...json(HostPull, "Which image.") },
    },
    responses: {
      202: json(Operation, "Accepted."),
      ...faults("image_not_found", "host_not_found", "image_tainted", "host_disabled", "idempotency_conflict"),
    },
  });

  return routesOf()
    .openapi(push, async (c) => {
      const wanted = c.req.valid("json");
      return c.json(unwrap(await hub.operations.push(wanted, askedBy(c, wanted))), 202);
    })
    .openapi(pull, async (c) => {
      const { onFault, ...image } = c.req.valid("json");
      const host = unwrap(await findHost(hub.db, c.req.valid("param").id));
      return c.json(unwrap(await hub.operations.pull({ image, hostId: host.id, onFault }, askedBy(c, { image, onFault }))), 202);
    });
}
