/**
 * `/cache` and `/hosts/{idOrName}/cache`: what hosts keep ready, and what is to go or to stay.
 *
 * The one idea: a list is what hosts reported; a change is an operation on the host, which alone knows what it uses at that moment.
 */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { findHost, listHosts } from "../../db/hosts.ts";
import { CacheEntry, CachePin, CachePrune } from "../../domain/catalog/caching.ts";
import { imageName } from "../../domain/catalog/rules.ts";
import { unwrap } from "../../domain/errors.ts";
import type { Host } from "../../domain/hosts/schema.ts";
import { Operation } from "../../domain/operations/schema.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, idempotent, pageOf, routesOf } from "../route.ts";
import { withCaches } from "./seen-cache.ts";

const tags = ["cache"];
const params = z.object({ idOrName: z.string().min(1).max(128) });
const accepted = { 202: json(Operation, "Accepted."), ...faults("host_not_found", "image_not_found", "idempotency_conflict") };

export const cacheRoutes = (hub: Hub) => routesOf().route("/", listRoutes(hub)).route("/", changeRoutes(hub));

function listRoutes(hub: Hub) {
  const list = createRoute({
    method: "get",
    path: "/cache",
    operationId: "listCache",
    summary: "List the images in the caches of all hosts, or of one",
    tags,
    middleware: authorised(hub, { claims: ["LIST_CACHE"] }),
    request: { query: z.object({ host: z.string().min(1).max(128).optional() }) },
    responses: { 200: json(pageOf(CacheEntry), "Most recently used first, host by host."), ...faults("host_not_found") },
  });
  return routesOf().openapi(list, async (c) => {
    const { host } = c.req.valid("query");
    const hosts = host === undefined ? await listHosts(hub.db) : [unwrap(await findHost(hub.db, host))];
    return c.json({ items: await entriesOf(hub, hosts, actorOf(c)), nextCursor: null }, 200);
  });
}

async function entriesOf(hub: Hub, all: readonly Host[], actor: Actor): Promise<CacheEntry[]> {
  const { hosts, images: seen } = await withCaches(hub, actor, all);
  const names = Map.groupBy(seen, ({ digest }) => digest);
  return hosts.flatMap(({ id, name, cached }) =>
    cached
      .map(({ digest, bytes, lastUsedAt, pinned = false, used = false }): CacheEntry => {
        const images = (names.get(digest) ?? []).map(imageName);
        return { hostId: id, host: name, digest, images, bytes, lastUsedAt: new Date(lastUsedAt), pinned, used };
      })
      .toSorted((a, b) => b.lastUsedAt.getTime() - a.lastUsedAt.getTime()),
  );
}

function changeRoutes(hub: Hub) {
  const prune = createRoute({
    method: "post",
    path: "/hosts/{idOrName}/cache/prune",
    operationId: "pruneCache",
    summary: "Remove images from a host's cache that nobody uses and nobody pinned",
    tags,
    middleware: authorised(hub, { claims: ["DELETE_ALL_CACHE"], hubWide: true }),
    request: { params, headers: idempotent, body: { required: true, ...json(CachePrune, "What may go.") } },
    responses: accepted,
  });
  const pinning = (act: "pin" | "unpin", summary: string) =>
    createRoute({
      method: "post",
      path: `/hosts/{idOrName}/cache/${act}`,
      operationId: `${act}Image`,
      summary,
      tags,
      middleware: authorised(hub, { claims: ["DELET_CACHE_ITEM"], hubWide: true }),
      request: { params, headers: idempotent, body: { required: true, ...json(CachePin, "Which image.") } },
      responses: accepted,
    });
  const pin = pinning("pin", "Keep an image in a host's cache until it is unpinned");
  const unpin = pinning("unpin", "Let a pinned image be evicted again");

  return routesOf()
    .openapi(prune, async (c) => {
      const wanted = c.req.valid("json");
      return c.json(unwrap(await hub.operations.prune(c.req.valid("param").idOrName, wanted, askedBy(c, wanted))), 202);
    })
    .openapi(pin, async (c) => {
      const image = c.req.valid("json");
      return c.json(unwrap(await hub.operations.pin(c.req.valid("param").idOrName, { act: "pin", image }, askedBy(c, image))), 202);
    })
    .openapi(unpin, async (c) => {
      const image = c.req.valid("json");
      return c.json(unwrap(await hub.operations.pin(c.req.valid("param").idOrName, { act: "unpin", image }, askedBy(c, image))), 202);
    });
}
