/** Images of the Parallels DevOps service: what a store holds of them, how one comes into the catalog, how one of ours is written back. */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { NewExport, NewImport, StoredArchive } from "../../domain/catalog/archives.ts";
import { Architecture, CatalogId, Version } from "../../domain/catalog/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { Operation } from "../../domain/operations/schema.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, idempotent, routesOf } from "../route.ts";

const tags = ["images"];

export const archiveRoutes = (hub: Hub) => routesOf().route("/", readRoutes(hub)).route("/", moveRoutes(hub));

function readRoutes(hub: Hub) {
  const list = createRoute({
    method: "get",
    path: "/stores/{id}/archives",
    operationId: "listArchives",
    summary: "List the images of the Parallels DevOps service in a store",
    tags,
    middleware: authorised(hub, { claims: ["PUSH_CATALOG_MANIFEST"] }),
    request: { params: z.object({ id: z.string().min(1).max(128) }) },
    responses: {
      200: json(z.object({ items: z.array(StoredArchive) }), "All of them, also those that cannot be imported, with the reason."),
      ...faults("store_not_found", "store_denied", "store_unavailable"),
    },
  });

  return routesOf().openapi(list, async (c) =>
    c.json({ items: unwrap(await hub.archives(c.req.valid("param").id, actorOf(c).project)) }, 200),
  );
}

function moveRoutes(hub: Hub) {
  const bring = createRoute({
    method: "post",
    path: "/images/import",
    operationId: "importImage",
    summary: "Import an image of the Parallels DevOps service",
    tags,
    middleware: authorised(hub, { claims: ["PUSH_CATALOG_MANIFEST"] }),
    request: { headers: idempotent, body: { required: true, ...json(NewImport, "Which image, and whether it is converted.") } },
    responses: {
      202: json(Operation, "Accepted."),
      ...faults(
        "image_exists",
        "image_revoked",
        "image_busy",
        "host_not_found",
        "store_not_found",
        "host_disabled",
        "idempotency_conflict",
      ),
    },
  });
  const write = createRoute({
    method: "post",
    path: "/images/{catalogId}/{version}/{architecture}/export",
    operationId: "exportImage",
    summary: "Write an image into a store as the Parallels DevOps service keeps it",
    tags,
    middleware: authorised(hub, { claims: ["PULL_CATALOG_MANIFEST", "PUSH_CATALOG_MANIFEST"] }),
    request: {
      params: z.object({ catalogId: CatalogId, version: Version, architecture: Architecture }),
      headers: idempotent,
      body: { required: true, ...json(NewExport, "Where to.") },
    },
    responses: {
      202: json(Operation, "Accepted."),
      ...faults("image_not_found", "image_tainted", "store_not_found", "idempotency_conflict"),
    },
  });

  return routesOf()
    .openapi(bring, async (c) => {
      const wanted = c.req.valid("json");
      return c.json(unwrap(await hub.operations.import(wanted, askedBy(c, wanted))), 202);
    })
    .openapi(write, async (c) => {
      const wanted = c.req.valid("json");
      return c.json(unwrap(await hub.operations.export(c.req.valid("param"), wanted, askedBy(c, wanted))), 202);
    });
}
