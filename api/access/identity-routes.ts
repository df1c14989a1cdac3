/**
 * `/login/providers`, `/login/provider`, `/login/workload`: coming in with a token of somebody else.
 *
 * The one idea: these are the only routes that take such a token for a login, and none of them asks who calls.
 */
import { createRoute } from "@hono/zod-openapi";
import type { Context } from "hono";
import { z } from "zod";
import { LoginProvider, ProviderLogin, WorkloadLogin } from "../../domain/access/identity.ts";
import { Token } from "../../domain/access/schema.ts";
import { listProviders } from "../../db/identity-providers.ts";
import { faults, json, type ApiEnv } from "../http.ts";
import type { Hub } from "../ports.ts";
import { routesOf } from "../route.ts";
import type { Called } from "./claimant.ts";
import { toldToken, type Logins } from "./login.ts";
import { logInByProvider } from "./provider-login.ts";
import { logInWorkload } from "./workload-login.ts";

const tags = ["access"];

export function identityRoutes(hub: Hub, login: Logins) {
  const providers = createRoute({
    method: "get",
    path: "/login/providers",
    operationId: "loginProviders",
    summary: "List the identity providers that people log in through",
    tags,
    security: [],
    responses: { 200: json(z.object({ items: z.array(LoginProvider) }), "What a command line needs of each; none of it is secret.") },
  });
  const byProvider = createRoute({
    method: "post",
    path: "/login/provider",
    operationId: "loginByProvider",
    summary: "Log in with the ID token of an identity provider",
    tags,
    security: [],
    request: { body: { required: true, ...json(ProviderLogin, "The provider and its token, which is good for one login.") } },
    responses: {
      200: json(Token, "A token for the header `Authorization: Bearer`, renewable like any login."),
      ...faults("identity_refused", "identity_provider_not_found", "identity_provider_unreachable"),
    },
  });
  const byWorkload = createRoute({
    method: "post",
    path: "/login/workload",
    operationId: "loginByWorkload",
    summary: "Exchange the token of a pipeline for a short token of this hub",
    tags,
    security: [],
    request: { body: { required: true, ...json(WorkloadLogin, "The platform's token, which is good for one exchange.") } },
    responses: {
      200: json(Token, "A token for the header `Authorization: Bearer`; it is not renewed."),
      ...faults("identity_refused", "identity_provider_unreachable"),
    },
  });

  return routesOf()
    .openapi(providers, async (c) => c.json({ items: (await listProviders(hub.db)).map((one) => LoginProvider.parse(one)) }, 200))
    .openapi(byProvider, async (c) => {
      return c.json(toldToken(await logInByProvider(hub, login, c.req.valid("json"), calledBy(c))), 200);
    })
    .openapi(byWorkload, async (c) => {
      return c.json(toldToken(await logInWorkload(hub, login, c.req.valid("json").token, calledBy(c))), 200);
    });
}

const calledBy = (c: Context<ApiEnv>): Called => ({
  requestId: c.var.requestId,
  source: c.var.source,
  claimant: (who) => c.set("claimant", who),
});
