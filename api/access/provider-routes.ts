/** `/identity/providers`: whom the hub believes about who people are. Only super users say that. */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import {
  changedProvider,
  IdentityProvider,
  IdentityProviderChange,
  NewIdentityProvider,
  providerFaults,
  ProviderReport,
} from "../../domain/access/identity.ts";
import { FaultError } from "../../domain/errors.ts";
import type { Database } from "../../db/connect.ts";
import { findProvider, insertProvider, listProviders, removeProvider, writeProvider } from "../../db/identity-providers.ts";
import { unknownRoles } from "../../db/roles.ts";
import { discover, type Metadata } from "../../security/discovery.ts";
import { algorithms, countKeys } from "../../security/foreign-tokens.ts";
import { faults, json } from "../http.ts";
import { authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, pageOf, routesOf } from "../route.ts";
import { audited } from "../told.ts";

const tags = ["identity"];
const named = z.object({ idOrName: z.string().min(1).max(128) });

export const providerRoutes = (hub: Hub) => routesOf().route("/", looking(hub)).route("/", adding(hub)).route("/", changing(hub));

function looking(hub: Hub) {
  const middleware = authorised(hub, { superUser: true });
  const list = createRoute({
    method: "get",
    path: "/identity/providers",
    operationId: "listIdentityProviders",
    summary: "List identity providers",
    tags,
    middleware,
    responses: { 200: json(pageOf(IdentityProvider), "By name."), ...faults() },
  });
  const get = createRoute({
    method: "get",
    path: "/identity/providers/{idOrName}",
    operationId: "getIdentityProvider",
    summary: "Show an identity provider",
    tags,
    middleware,
    request: { params: named },
    responses: { 200: json(IdentityProvider, "The provider."), ...faults("identity_provider_not_found") },
  });
  const test = createRoute({
    method: "post",
    path: "/identity/providers/{idOrName}/test",
    operationId: "testIdentityProvider",
    summary: "Ask an identity provider what it says about itself",
    tags,
    middleware,
    request: { params: named },
    responses: {
      200: json(ProviderReport, "What it answers."),
      ...faults("identity_provider_not_found", "identity_provider_invalid", "identity_provider_unreachable"),
    },
  });
  return routesOf()
    .openapi(list, async (c) => c.json({ items: await listProviders(hub.db), nextCursor: null }, 200))
    .openapi(get, async (c) => c.json(await findProvider(hub.db, c.req.valid("param").idOrName), 200))
    .openapi(test, async (c) => {
      const { issuer } = await findProvider(hub.db, c.req.valid("param").idOrName);
      const metadata = await discover(issuer);
      return c.json(reportOf(metadata, await countKeys(metadata)), 200);
    });
}

function adding(hub: Hub) {
  const add = createRoute({
    method: "post",
    path: "/identity/providers",
    operationId: "addIdentityProvider",
    summary: "Believe an identity provider, once it answers for its issuer",
    tags,
    middleware: authorised(hub, { superUser: true }),
    request: { body: { required: true, ...json(NewIdentityProvider, "Who it is, and what its words mean here.") } },
    responses: {
      201: json(IdentityProvider, "The provider."),
      ...faults("identity_provider_exists", "identity_provider_invalid", "identity_provider_unreachable"),
    },
  });
  return routesOf().openapi(add, async (c) => {
    const wanted = c.req.valid("json");
    await mustKnowRoles(hub.db, wanted);
    await discover(wanted.issuer);
    const told = { action: "identity_provider.added", subject: wanted.name };
    return c.json(await audited(hub, askedBy(c), told, (tx) => insertProvider(tx, wanted)), 201);
  });
}

function changing(hub: Hub) {
  const middleware = authorised(hub, { superUser: true });
  const change = createRoute({
    method: "patch",
    path: "/identity/providers/{idOrName}",
    operationId: "changeIdentityProvider",
    summary: "Change what an identity provider's words mean; its issuer stays",
    tags,
    middleware,
    request: { params: named, body: { required: true, ...json(IdentityProviderChange, "The fields that change.") } },
    responses: { 200: json(IdentityProvider, "The provider."), ...faults("identity_provider_not_found", "identity_provider_exists") },
  });
  const remove = createRoute({
    method: "delete",
    path: "/identity/providers/{idOrName}",
    operationId: "removeIdentityProvider",
    summary: "Believe an identity provider no more; roles by its groups go with it, users stay",
    tags,
    middleware,
    request: { params: named },
    responses: { 204: { description: "Gone." }, ...faults("identity_provider_not_found") },
  });
  return routesOf()
    .openapi(change, async (c) => {
      const before = await findProvider(hub.db, c.req.valid("param").idOrName);
      const whole = changedProvider(before, c.req.valid("json"));
      const [fault] = providerFaults(whole);
      if (fault !== undefined) throw new FaultError({ code: "invalid_request", message: `${fault}.` });
      await mustKnowRoles(hub.db, whole);
      const told = { action: "identity_provider.changed", subject: before.name };
      return c.json(await audited(hub, askedBy(c), told, (tx) => writeProvider(tx, whole)), 200);
    })
    .openapi(remove, async (c) => {
      const provider = await findProvider(hub.db, c.req.valid("param").idOrName);
      await audited(hub, askedBy(c), { action: "identity_provider.removed", subject: provider.name }, (tx) => removeProvider(tx, provider));
      return c.body(null, 204);
    });
}

async function mustKnowRoles(db: Database, { groupRoles }: { groupRoles: Readonly<Record<string, readonly string[]>> }): Promise<void> {
  const [role] = await unknownRoles(db, Object.values(groupRoles).flat());
  if (role !== undefined) throw new FaultError({ code: "invalid_request", message: `groupRoles: there is no role ${role}.` });
}

function reportOf(metadata: Metadata, keys: number): ProviderReport {
  const { authorization_endpoint, device_authorization_endpoint, token_endpoint, id_token_signing_alg_values_supported } = metadata;
  const usable = id_token_signing_alg_values_supported.filter((algorithm) => algorithms.includes(algorithm));
  const challenges = metadata.code_challenge_methods_supported;
  const remarks = [
    ...(usable.length === 0 ? ["It names no algorithm for ID tokens that is taken here."] : []),
    ...(keys === 0 ? ["It publishes no keys, so none of its tokens can be checked."] : []),
    ...(authorization_endpoint && token_endpoint ? [] : ["It has no login for people with a browser."]),
    ...(device_authorization_endpoint ? [] : ["It has no device flow: people log in where their browser is."]),
    ...(challenges && !challenges.includes("S256") ? ["It does not say that it knows PKCE with S256."] : []),
  ];
  return {
    issuer: metadata.issuer,
    authorizationEndpoint: authorization_endpoint ?? null,
    deviceEndpoint: device_authorization_endpoint ?? null,
    tokenEndpoint: token_endpoint ?? null,
    keys,
    algorithms: usable,
    remarks,
  };
}
