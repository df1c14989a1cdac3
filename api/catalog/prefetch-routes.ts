/** `/prefetches`: brings an image to several hosts now. `/prefetch-policies`: whenever it is published, or again and again. */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { insertPolicy, listPolicies, removePolicy } from "../../db/prefetch.ts";
import { NewPrefetch, NewPrefetchPolicy, PrefetchPolicy } from "../../domain/catalog/caching.ts";
import { unwrap } from "../../domain/errors.ts";
import { Operation } from "../../domain/operations/schema.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, idempotent, pageOf, routesOf } from "../route.ts";
import { audited } from "../told.ts";

const tags = ["prefetch"];

export const prefetchRoutes = (hub: Hub) => routesOf().route("/", startRoutes(hub)).route("/", policyRoutes(hub));

function startRoutes(hub: Hub) {
  const start = createRoute({
    method: "post",
    path: "/prefetches",
    operationId: "prefetchImage",
    summary: "Bring an image into the caches of several hosts",
    tags,
    middleware: authorised(hub, { claims: ["PULL_CATALOG_MANIFEST"] }),
    request: { headers: idempotent, body: { required: true, ...json(NewPrefetch, "Which image, to which hosts.") } },
    responses: {
      202: json(Operation, "Accepted."),
      ...faults("image_not_found", "image_tainted", "host_not_found", "host_disabled", "no_capacity", "idempotency_conflict"),
    },
  });
  return routesOf().openapi(start, async (c) => {
    const wanted = c.req.valid("json");
    return c.json(unwrap(await hub.operations.prefetch(wanted, askedBy(c, wanted))), 202);
  });
}

function policyRoutes(hub: Hub) {
  const needs = authorised(hub, { claims: ["UPDATE"] });
  const list = createRoute({
    method: "get",
    path: "/prefetch-policies",
    operationId: "listPrefetchPolicies",
    summary: "List what is brought to hosts before anybody asks",
    tags,
    middleware: authorised(hub, { claims: ["LIST_CACHE"] }),
    responses: { 200: json(pageOf(PrefetchPolicy), "By name."), ...faults() },
  });
  const add = createRoute({
    method: "post",
    path: "/prefetch-policies",
    operationId: "addPrefetchPolicy",
    summary: "Bring an image to hosts whenever it is published, or again and again",
    tags,
    middleware: needs,
    request: { body: { required: true, ...json(NewPrefetchPolicy, "Which image, to which hosts, when.") } },
    responses: { 201: json(PrefetchPolicy, "The policy."), ...faults("prefetch_policy_exists") },
  });
  const remove = createRoute({
    method: "delete",
    path: "/prefetch-policies/{idOrName}",
    operationId: "removePrefetchPolicy",
    summary: "Remove a prefetch policy; what it brought stays",
    tags,
    middleware: needs,
    request: { params: z.object({ idOrName: z.string().min(1).max(128) }) },
    responses: { 204: { description: "Gone." }, ...faults("prefetch_policy_not_found") },
  });

  return routesOf()
    .openapi(list, async (c) => c.json({ items: await listPolicies(hub.db, actorOf(c).project), nextCursor: null }, 200))
    .openapi(add, async (c) => {
      const wanted = c.req.valid("json");
      const { project, username, userId, roles, claims, isSuperUser } = actorOf(c);
      const by = { project, createdBy: username, createdById: userId, holder: { roles, claims, everything: isSuperUser } };
      const told = { action: "prefetch_policy.added", subject: wanted.name };
      return c.json(await audited(hub, askedBy(c), told, (tx) => insertPolicy(tx, wanted, by)), 201);
    })
    .openapi(remove, async (c) => {
      const { idOrName } = c.req.valid("param");
      const told = { action: "prefetch_policy.removed", subject: idOrName };
      await audited(hub, askedBy(c), told, (tx) => removePolicy(tx, actorOf(c).project, idOrName));
      return c.body(null, 204);
    });
}
