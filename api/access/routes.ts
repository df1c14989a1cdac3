/** Our own routes of identity: log in, tell who one is, and the public keys of our tokens. */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { Actor, Login, Token } from "../../domain/access/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { routesOf } from "../route.ts";
import { toldToken, type Logins } from "./login.ts";

const tags = ["access"];

export function accessRoutes(hub: Hub, login: Logins) {
  const logIn = createRoute({
    method: "post",
    path: "/login",
    operationId: "login",
    summary: "Log in with a user name or e-mail address",
    tags,
    security: [],
    request: { body: { required: true, ...json(Login, "Who and with which password.") } },
    responses: { 200: json(Token, "A token for the header `Authorization: Bearer`."), ...faults("too_many_attempts") },
  });
  const renew = createRoute({
    method: "post",
    path: "/login/renew",
    operationId: "renewLogin",
    summary: "A new token for a login that goes on",
    tags,
    middleware: authorised(hub, {}),
    responses: { 200: json(Token, "A token that ends later."), ...faults() },
  });
  const whoAmI = createRoute({
    method: "get",
    path: "/whoami",
    operationId: "whoami",
    summary: "Tell who the caller is and what they may do",
    tags,
    middleware: authorised(hub, {}),
    responses: { 200: json(Actor.meta({ id: "Actor" }), "The caller."), ...faults() },
  });
  const keySet = createRoute({
    method: "get",
    path: "/keys",
    operationId: "tokenKeys",
    summary: "The public keys that verify our tokens (JWKS)",
    tags,
    security: [],
    responses: { 200: json(z.object({ keys: z.array(z.record(z.string(), z.unknown())) }), "The key set.") },
  });
  return routesOf()
    .openapi(logIn, async (c) => {
      const { username, password } = c.req.valid("json");
      return c.json(toldToken(unwrap(await login.byPassword(username, password, c.var.source))), 200);
    })
    .openapi(renew, async (c) => {
      const token = (c.req.header("Authorization") ?? "").slice("Bearer ".length);
      return c.json(toldToken(unwrap(await login.renew(token))), 200);
    })
    .openapi(whoAmI, (c) => c.json(actorOf(c), 200))
    .openapi(keySet, async (c) => c.json(await hub.signer.jwks(), 200));
}
