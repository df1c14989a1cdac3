/** `/hosts`, how hosts join, and what a client must know of the gateway and of this hub. Hosts serve every project: whoever may list sees them all. */
import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { findHost, listHosts, removeHost, updateHost } from "../../db/hosts.ts";
import { unwrap } from "../../domain/errors.ts";
import { EnrolmentToken, Host, NewEnrolmentToken } from "../../domain/hosts/schema.ts";
import { versionsOf } from "../../domain/hosts/versions.ts";
import { missingParts } from "../health.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, routesOf } from "../route.ts";
import { audited } from "../told.ts";
import { cordonRoutes } from "./cordon-routes.ts";
import { maintenanceRoutes } from "./maintenance-routes.ts";
import { asSeen } from "./seen-cache.ts";

const tags = ["hosts"];
const params = z.object({ idOrName: z.string().min(1).max(128) });
const HostChanges = z
  .object({
    enabled: z.boolean().optional(),
    labels: z.array(z.string().min(1).max(128)).max(32).optional(),
    taints: z.array(z.string().min(1).max(128)).max(32).optional(),
    overcommitCpu: z.number().positive().max(16).optional(),
    overcommitMemory: z.number().positive().max(16).optional(),
  })
  .meta({ id: "HostChanges" });
const Gateway = z
  .object({
    url: z.string(),
    grpcAddress: z.string(),
    namespace: z.string(),
    hubId: z.string(),
    authority: z.string().meta({ description: "PEM of the hub's authority." }),
  })
  .meta({ id: "Gateway" });
const System = z
  .object({
    version: z.string(),
    hostVersions: z
      .array(z.object({ version: z.string(), hosts: z.int() }))
      .meta({ description: "Which releases of the host worker run, and on how many hosts." }),
    hubId: z.string(),
    modules: z.array(z.string()),
    ready: z.boolean(),
    missing: z.array(z.object({ part: z.string(), reason: z.string() })),
    temporalUi: z.string().nullable(),
  })
  .meta({ id: "System" });

export const hostRoutes = (hub: Hub) =>
  routesOf()
    .route("/", readRoutes(hub))
    .route("/", changeRoutes(hub))
    .route("/", cordonRoutes(hub))
    .route("/", maintenanceRoutes(hub))
    .route("/", tokenRoutes(hub))
    .route("/", systemRoutes(hub));

function readRoutes(hub: Hub) {
  const mayRead = authorised(hub, { claims: ["LIST"] });
  const list = createRoute({
    method: "get",
    path: "/hosts",
    operationId: "listHosts",
    summary: "List hosts",
    tags,
    middleware: mayRead,
    responses: { 200: json(z.object({ items: z.array(Host), nextCursor: z.null() }), "All of them."), ...faults() },
  });
  const get = createRoute({
    method: "get",
    path: "/hosts/{idOrName}",
    operationId: "getHost",
    summary: "Get a host by id or name",
    tags,
    middleware: mayRead,
    request: { params },
    responses: { 200: json(Host, "The host."), ...faults("host_not_found") },
  });

  return routesOf()
    .openapi(list, async (c) => c.json({ items: await asSeen(hub, actorOf(c), await listHosts(hub.db)), nextCursor: null }, 200))
    .openapi(get, async (c) => {
      const found = unwrap(await findHost(hub.db, c.req.valid("param").idOrName));
      const [host = found] = await asSeen(hub, actorOf(c), [found]);
      return c.json(host, 200);
    });
}

function changeRoutes(hub: Hub) {
  const mayChange = authorised(hub, { claims: ["UPDATE"], hubWide: true });
  const change = createRoute({
    method: "patch",
    path: "/hosts/{idOrName}",
    operationId: "changeHost",
    summary: "Enable, disable, label or overcommit a host",
    tags,
    middleware: mayChange,
    request: { params, body: { required: true, ...json(HostChanges, "What changes.") } },
    responses: { 200: json(Host, "The host."), ...faults("host_not_found") },
  });
  const remove = createRoute({
    method: "delete",
    path: "/hosts/{idOrName}",
    operationId: "removeHost",
    summary: "Take a host out of the fleet",
    tags,
    middleware: authorised(hub, { claims: ["DELETE"], hubWide: true }),
    request: { params },
    responses: { 204: { description: "Gone." }, ...faults("host_not_found", "host_in_use") },
  });

  return routesOf()
    .openapi(change, async (c) => {
      const { id, name } = unwrap(await findHost(hub.db, c.req.valid("param").idOrName));
      const changed = { action: "host.changed", subject: name };
      const host = await audited(hub, askedBy(c), changed, async (tx) => unwrap(await updateHost(tx, id, c.req.valid("json"))));
      const [seen = host] = await asSeen(hub, actorOf(c), [host]);
      return c.json(seen, 200);
    })
    .openapi(remove, async (c) => {
      const { id, name } = unwrap(await findHost(hub.db, c.req.valid("param").idOrName));
      await audited(hub, askedBy(c), { action: "host.removed", subject: name }, (tx) => removeHost(tx, id));
      return c.body(null, 204);
    });
}

function tokenRoutes(hub: Hub) {
  const token = createRoute({
    method: "post",
    path: "/hosts/tokens",
    operationId: "makeHostToken",
    summary: "Make a token with which one host enrols",
    tags,
    middleware: authorised(hub, { claims: ["CREATE"], hubWide: true }),
    request: { body: { required: true, ...json(NewEnrolmentToken, "For which host.") } },
    responses: { 201: json(EnrolmentToken, "The token, told once."), ...faults() },
  });

  return routesOf().openapi(token, async (c) => c.json(await hub.enrolments.newToken(c.req.valid("json"), actorOf(c)), 201));
}

function systemRoutes(hub: Hub) {
  const gateway = createRoute({
    method: "get",
    path: "/gateway",
    operationId: "getGateway",
    summary: "Tell where the host gateway is and how to trust it",
    tags: ["system"],
    middleware: authorised(hub, {}),
    responses: { 200: json(Gateway, "The gateway."), ...faults() },
  });
  const system = createRoute({
    method: "get",
    path: "/system",
    operationId: "getSystem",
    summary: "Tell what runs here and what is missing",
    tags: ["system"],
    middleware: authorised(hub, {}),
    responses: { 200: json(System, "The hub."), ...faults() },
  });

  return routesOf()
    .openapi(gateway, (c) => c.json(hub.settings.gateway, 200))
    .openapi(system, async (c) => {
      const missing = await missingParts(hub);
      const { version, modules, gateway: own, temporalUi } = hub.settings;
      const hostVersions = versionsOf(await listHosts(hub.db)).map((one) => ({ version: one.version, hosts: one.hosts.length }));
      const told = { version, hostVersions, hubId: own.hubId, modules: [...modules], temporalUi: temporalUi.url ?? null };
      return c.json({ ...told, ready: missing.length === 0, missing }, 200);
    });
}
