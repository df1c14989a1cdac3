/** `/identity/rules`: which workloads may come in with a token of their platform, and as whom. Only super users say that. */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { IdentityRule, NewIdentityRule, RuleTrial, WorkloadLogin } from "../../domain/access/identity.ts";
import { findIdentityRule, insertIdentityRule, listIdentityRules, removeIdentityRule } from "../../db/identity-rules.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, pageOf, routesOf } from "../route.ts";
import { audited } from "../told.ts";
import { foundUser } from "./given.ts";
import { tryRules } from "./workload-login.ts";

const tags = ["identity"];

export const ruleRoutes = (hub: Hub) => routesOf().route("/", keeping(hub)).route("/", trying(hub));

function keeping(hub: Hub) {
  const middleware = authorised(hub, { superUser: true });
  const list = createRoute({
    method: "get",
    path: "/identity/rules",
    operationId: "listIdentityRules",
    summary: "List the rules by which workloads come in",
    tags,
    middleware,
    responses: { 200: json(pageOf(IdentityRule), "Oldest first."), ...faults() },
  });
  const add = createRoute({
    method: "post",
    path: "/identity/rules",
    operationId: "addIdentityRule",
    summary: "Let workloads in by what their platform's token says",
    tags,
    middleware,
    request: { body: { required: true, ...json(NewIdentityRule, "Whose tokens, what they must say, and whom such a workload acts as.") } },
    responses: { 201: json(IdentityRule, "The rule."), ...faults("identity_rule_exists", "user_not_found") },
  });
  const remove = createRoute({
    method: "delete",
    path: "/identity/rules/{idOrName}",
    operationId: "removeIdentityRule",
    summary: "Remove a rule; tokens that it gave end at once",
    tags,
    middleware,
    request: { params: z.object({ idOrName: z.string().min(1).max(128) }) },
    responses: { 204: { description: "Gone." }, ...faults("identity_rule_not_found") },
  });

  return routesOf()
    .openapi(list, async (c) => c.json({ items: await listIdentityRules(hub.db), nextCursor: null }, 200))
    .openapi(add, async (c) => {
      const wanted = c.req.valid("json");
      const { id: userId } = await foundUser(hub, wanted.user, actorOf(c));
      const by = { userId, createdBy: actorOf(c).username };
      const told = { action: "identity_rule.added", subject: wanted.name };
      return c.json(await audited(hub, askedBy(c), told, (tx) => insertIdentityRule(tx, wanted, by)), 201);
    })
    .openapi(remove, async (c) => {
      const { id, name } = await findIdentityRule(hub.db, c.req.valid("param").idOrName);
      await audited(hub, askedBy(c), { action: "identity_rule.removed", subject: name }, (tx) => removeIdentityRule(tx, id));
      return c.body(null, 204);
    });
}

function trying(hub: Hub) {
  const middleware = authorised(hub, { superUser: true });
  const test = createRoute({
    method: "post",
    path: "/identity/rules/test",
    operationId: "testIdentityRules",
    summary: "Tell which rules a token fits, and why not; it is not used up",
    tags,
    middleware,
    request: { body: { required: true, ...json(WorkloadLogin, "A platform's token.") } },
    responses: { 200: json(RuleTrial, "Rule by rule."), ...faults("identity_provider_unreachable") },
  });
  return routesOf().openapi(test, async (c) => c.json(await tryRules(hub, c.req.valid("json").token), 200));
}
