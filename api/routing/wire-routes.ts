/**
 * The wire's reverse proxy and its hosts.
 *
 * The one idea: the model is stored and returned; no traffic is carried yet, so `enabled` is false whatever was asked for, and nothing here restarts anything.
 */
import { z } from "zod";
import { withRoute } from "../../domain/routing/rules.ts";
import { listProxyHosts, type ProxyHost } from "../../db/routing.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import { filtered } from "../wire/filter.ts";
import type { Mount } from "../wire/mount.ts";
import { meant, ofFleetHost, onHost, scopeOf, shown, type Family } from "./family.ts";
import {
  dropProxyHost,
  makeProxyHost,
  mustFindProxyHost,
  proxyWanted,
  setProxyWanted,
  shownProxyHosts,
  updateProxyHost,
  type ProxyChange,
} from "./hosts.ts";
import {
  addressIn,
  corsIn,
  HostCreateRequest,
  HostUpdateRequest,
  httpRouteIn,
  ReverseProxy,
  ReverseProxyHost,
  tcpRouteIn,
  tlsIn,
} from "./wire.ts";
import { routeWireRoutes } from "./wire-http.ts";

export function routingWireRoutes(hub: Hub, reverseProxy: Mount, orchestrator: Mount): void {
  for (const [family, mount] of [
    [onHost, reverseProxy],
    [ofFleetHost, orchestrator],
  ] as const) {
    stateRoutes(hub, mount, family);
    hostRoutes(hub, mount, family);
    hostMakingRoutes(hub, mount, family);
    hostChangeRoutes(hub, mount, family);
    routeWireRoutes(hub, mount, family);
  }
}

function stateRoutes(hub: Hub, mount: Mount, family: Family): void {
  const { base, tag, fleet } = family;
  mount(
    "get",
    base,
    "Tell whether the reverse proxy carries traffic",
    { tag, needs: { claims: [family.see] }, status: 200, reply: ReverseProxy },
    async (call) => {
      const host = await family.host(hub, call);
      const own = fleet && host ? { id: host.id, host_id: host.id } : {};
      return { ...own, enabled: false, wanted: await proxyWanted(hub, host) };
    },
  );
  for (const [verb, summary, wanted] of [
    ["enable", "Ask for the reverse proxy", true],
    ["disable", "Ask for no reverse proxy", false],
    ["restart", "Nothing to restart: no traffic is carried yet", null],
  ] as const)
    mount(
      "put",
      `${base}/${verb}`,
      summary,
      { tag, needs: { claims: ["CONFIGURE_REVERSE_PROXY"], hubWide: true }, status: 202 },
      async (call) => {
        const host = await family.mustHost(hub, call);
        if (wanted !== null) await setProxyWanted(hub, call, host, wanted);
      },
    );
}

function hostRoutes(hub: Hub, mount: Mount, family: Family): void {
  const { base, tag, fleet, proxyHost } = family;
  const list = { claims: ["LIST_REVERSE_PROXY_HOSTS"] } as const;
  mount(
    "get",
    `${base}/hosts`,
    "List the proxy's hosts",
    { tag, needs: list, status: 200, reply: z.array(ReverseProxyHost) },
    async (call) => {
      const hosts = await listProxyHosts(hub.db, await scopeOf(hub, call, family));
      return filtered(await shownProxyHosts(hub, hosts, { fleet, reader: call.actor }), call.c.req.header("X-Filter"));
    },
  );
  mount(
    "get",
    `${base}/hosts/{${proxyHost}}`,
    "Get a host of the proxy",
    { tag, needs: list, status: 200, reply: ReverseProxyHost },
    async (call) => {
      const { scope, id } = await meant(hub, call, family);
      return shown(hub, call, await mustFindProxyHost(hub.db, scope, id), family);
    },
  );
}

function hostMakingRoutes(hub: Hub, mount: Mount, family: Family): void {
  const { base, tag, written: status } = family;
  mount(
    "post",
    `${base}/hosts`,
    "Add a host to the proxy",
    { tag, needs: { claims: ["CREATE_REVERSE_PROXY_HOST"] }, status, body: HostCreateRequest, reply: ReverseProxyHost },
    async (call) => {
      const { http_routes, tcp_route, name = "", tls, cors, ...address } = call.body;
      const httpRoutes = http_routes
        .map((route) => ({ order: route.order, made: httpRouteIn(route) }))
        .reduce<ProxyHost["httpRoutes"]>((routes, { order, made }) => withRoute(routes, made, order > 0 ? order : undefined), []);
      const values = {
        name,
        ...addressIn(address),
        tls: tlsIn(tls, null),
        cors: corsIn(cors) ?? null,
        httpRoutes,
        tcpRoute: tcp_route ? tcpRouteIn(tcp_route) : null,
      };
      mustBeOneKind(values, values);
      if (httpRoutes.length === 0 && !values.tcpRoute)
        throw refusal(400, "Invalid request body: error 400: http_routes or tcp_route is needed");
      const { id: hostId } = await family.mustHost(hub, call);
      return shown(hub, call, await makeProxyHost(hub, call, hostId, values), family);
    },
  );
}

function hostChangeRoutes(hub: Hub, mount: Mount, family: Family): void {
  const { base, tag, proxyHost, written: status } = family;
  mount(
    "put",
    `${base}/hosts/{${proxyHost}}`,
    "Change a host of the proxy; its routes stay",
    { tag, needs: { claims: ["UPDATE_REVERSE_PROXY_HOST"] }, status, body: HostUpdateRequest, reply: ReverseProxyHost },
    async (call) => {
      const { name, tls, cors, ...address } = call.body;
      const wanted = { ...(name === undefined ? {} : { name }), ...addressIn(address) };
      const decide = (before: ProxyHost, tlsBefore: Parameters<typeof tlsIn>[1]): ProxyChange => {
        const told = { tls: tlsIn(tls, tlsBefore), ...(cors ? { cors: corsIn(cors) ?? null } : {}) };
        mustBeOneKind(before, told);
        return { ...wanted, ...told };
      };
      return shown(hub, call, await updateProxyHost(hub, call, await meant(hub, call, family), decide), family);
    },
  );
  mount(
    "delete",
    `${base}/hosts/{${proxyHost}}`,
    "Remove a host from the proxy",
    { tag, needs: { claims: ["DELETE_REVERSE_PROXY_HOST"] }, status: 202 },
    async (call) => dropProxyHost(hub, call, await meant(hub, call, family)),
  );
}

/** TCP knows no paths, and its bytes are passed on as they are. */
function mustBeOneKind(
  { httpRoutes, tcpRoute }: Pick<ProxyHost, "httpRoutes" | "tcpRoute">,
  { tls, cors }: Pick<ProxyChange, "tls" | "cors">,
): void {
  if (!tcpRoute) return;
  if (httpRoutes.length > 0) throw refusal(400, "Invalid request body: error 400: http_routes and tcp_route exclude each other");
  if (tls || cors) throw refusal(400, "Invalid request body: error 400: a host with a tcp_route has neither cors nor tls");
}
