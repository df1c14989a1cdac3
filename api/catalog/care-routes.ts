/**
 * `/retention` and the care of `/stores`: rules and what they would delete; collections, checks and scrubs as operations.
 *
 * The one idea: what a rule or a collection would do can be seen before it is done, by the same judgement.
 */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { dropRule, judgeVersions, keepRule, listRules } from "../../db/retention-rules.ts";
import {
  Collection,
  everyCatalogId,
  RetentionRule,
  RetentionRun,
  RetentionSubject,
  RetentionVerdict,
  RetentionWish,
  Scrub,
  StoreCheck,
} from "../../domain/catalog/care.ts";
import { checkRule } from "../../domain/catalog/retention.ts";
import { imageName } from "../../domain/catalog/rules.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { Operation } from "../../domain/operations/schema.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, idempotent, routesOf } from "../route.ts";
import { audited } from "../told.ts";

const tags = ["images"];
const subject = z.object({ catalogId: RetentionSubject });

export const careRoutes = (hub: Hub) =>
  routesOf()
    .route("/", ruleRoutes(hub))
    .route("/", dropRoutes(hub))
    .route("/", planRoutes(hub))
    .route("/", storeCareRoutes(hub))
    .route("/", scrubRoutes(hub));

function ruleRoutes(hub: Hub) {
  const mayChange = authorised(hub, { superUser: true });
  const list = createRoute({
    method: "get",
    path: "/retention",
    operationId: "listRetentionRules",
    summary: "List retention rules",
    tags,
    middleware: authorised(hub, { claims: ["LIST_CATALOG_MANIFEST"] }),
    responses: { 200: json(z.object({ items: z.array(RetentionRule) }), "All of them."), ...faults() },
  });
  const keep = createRoute({
    method: "put",
    path: "/retention/{catalogId}",
    operationId: "setRetentionRule",
    summary: `Set the retention rule of a catalog id, or with \`${everyCatalogId}\` that of all others`,
    tags,
    middleware: mayChange,
    request: { params: subject, body: { required: true, ...json(RetentionWish, "Which versions stay.") } },
    responses: { 200: json(RetentionRule, "The rule."), ...faults("retention_invalid") },
  });
  return routesOf()
    .openapi(list, async (c) => c.json({ items: await listRules(hub.db, actorOf(c).project) }, 200))
    .openapi(keep, async (c) => {
      const { catalogId } = c.req.valid("param");
      const wish = c.req.valid("json");
      unwrap(checkRule(wish));
      const { project, username: by } = actorOf(c);
      const told = { action: "retention.set", subject: catalogId ?? everyCatalogId };
      return c.json(await audited(hub, askedBy(c), told, (tx) => keepRule(tx, { ...wish, project, catalogId, by })), 200);
    });
}

function dropRoutes(hub: Hub) {
  const drop = createRoute({
    method: "delete",
    path: "/retention/{catalogId}",
    operationId: "removeRetentionRule",
    summary: "Remove a retention rule",
    tags,
    middleware: authorised(hub, { superUser: true }),
    request: { params: subject },
    responses: { 204: { description: "Gone." }, ...faults("retention_not_found") },
  });

  return routesOf().openapi(drop, async (c) => {
    const { catalogId } = c.req.valid("param");
    const name = catalogId ?? everyCatalogId;
    await audited(hub, askedBy(c), { action: "retention.remove", subject: name }, async (tx) => {
      if (await dropRule(tx, actorOf(c).project, catalogId)) return;
      throw new FaultError({ code: "retention_not_found", message: `There is no retention rule for ${name}.`, subject: name });
    });
    return c.body(null, 204);
  });
}

function planRoutes(hub: Hub) {
  const plan = createRoute({
    method: "get",
    path: "/retention/plan",
    operationId: "planRetention",
    summary: "Tell which versions would go by the rules now, and why each goes or stays",
    tags,
    middleware: authorised(hub, { superUser: true }),
    request: { query: z.object({ catalogId: z.string().max(128).optional() }) },
    responses: { 200: json(z.object({ items: z.array(RetentionVerdict) }), "Every version that a rule is for."), ...faults() },
  });
  const run = createRoute({
    method: "post",
    path: "/retention/runs",
    operationId: "applyRetention",
    summary: "Delete the versions that no rule keeps",
    tags,
    middleware: authorised(hub, { superUser: true }),
    request: { headers: idempotent, body: { required: true, ...json(RetentionRun, "How.") } },
    responses: { 202: json(Operation, "Accepted."), ...faults("idempotency_conflict") },
  });

  return routesOf()
    .openapi(plan, async (c) => {
      const { catalogId } = c.req.valid("query");
      const judged = await judgeVersions(hub.db, actorOf(c).project, catalogId);
      const items = judged.map(({ version, keep, why }) => ({ image: imageName(version), keep, why, storedBytes: version.storedBytes }));
      return c.json({ items }, 200);
    })
    .openapi(run, async (c) => {
      const wanted = c.req.valid("json");
      return c.json(unwrap(await hub.operations.retain(wanted, askedBy(c, wanted))), 202);
    });
}

const store = z.object({ id: z.string().min(1).max(128) });
const accepted = { 202: json(Operation, "Accepted."), ...faults("store_not_found", "store_busy", "idempotency_conflict") };

function storeCareRoutes(hub: Hub) {
  const mayCare = authorised(hub, { superUser: true });
  const collect = createRoute({
    method: "post",
    path: "/stores/{id}/collections",
    operationId: "collectStore",
    summary: "Remove what no image needs from a store, or tell what that would free",
    tags: ["stores"],
    middleware: mayCare,
    responses: accepted,
    request: { params: store, headers: idempotent, body: { required: true, ...json(Collection, "How.") } },
  });
  const check = createRoute({
    method: "post",
    path: "/stores/{id}/checks",
    operationId: "checkStore",
    summary: "Look whether a store holds every image whole",
    tags: ["stores"],
    middleware: mayCare,
    responses: accepted,
    request: { params: store, headers: idempotent, body: { required: true, ...json(StoreCheck, "How thoroughly.") } },
  });

  return routesOf()
    .openapi(collect, async (c) => {
      const wanted = c.req.valid("json");
      return c.json(unwrap(await hub.operations.collect(c.req.valid("param").id, wanted, askedBy(c, wanted))), 202);
    })
    .openapi(check, async (c) => {
      const wanted = c.req.valid("json");
      return c.json(unwrap(await hub.operations.check(c.req.valid("param").id, wanted, askedBy(c, wanted))), 202);
    });
}

function scrubRoutes(hub: Hub) {
  const scrub = createRoute({
    method: "post",
    path: "/stores/{id}/scrubs",
    operationId: "scrubStore",
    summary: "Read the next share of a store, and have what is broken healed by hosts that have the images",
    tags: ["stores"],
    middleware: authorised(hub, { superUser: true }),
    request: { params: store, headers: idempotent, body: { required: true, ...json(Scrub, "How much.") } },
    responses: accepted,
  });

  return routesOf().openapi(scrub, async (c) => {
    const wanted = c.req.valid("json");
    return c.json(unwrap(await hub.operations.scrub(c.req.valid("param").id, wanted, askedBy(c, wanted))), 202);
  });
}
