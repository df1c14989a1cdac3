/**
 * The routes of the wire's proxy hosts: HTTP routes one by one, or the one TCP route.
 *
 * The one idea: a host has one kind of route; the other kind is refused until the first is gone.
 */
import { moved, withRoute } from "../../domain/routing/rules.ts";
import type { ProxyHost } from "../../db/routing.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import type { Mount } from "../wire/mount.ts";
import { meant, shown, type Family } from "./family.ts";
import { updateProxyHost, type ProxyChange } from "./hosts.ts";
import { httpRouteIn, HttpRouteRequest, mostRoutes, ReorderRequest, ReverseProxyHost, tcpRouteIn, TcpRouteRequest } from "./wire.ts";

export function routeWireRoutes(hub: Hub, mount: Mount, family: Family): void {
  addRoutes(hub, mount, family);
  // The fleet's twin has no such route.
  if (!family.fleet) orderRoutes(hub, mount, family);
  removeRoutes(hub, mount, family);
  tcpRouteRoutes(hub, mount, family);
}

const update = { claims: ["UPDATE_REVERSE_PROXY_HOST_HTTP_ROUTE"] } as const;
const pathOf = ({ base, proxyHost }: Family): string => `${base}/hosts/{${proxyHost}}`;

function addRoutes(hub: Hub, mount: Mount, family: Family): void {
  const { tag, written: status } = family;
  const all = `${pathOf(family)}/http_routes`;
  for (const path of family.fleet ? [all] : [all, `${pathOf(family)}/http_route`])
    mount(
      "post",
      path,
      "Add an HTTP route, or change the one of the same path or pattern",
      { tag, needs: update, status, body: HttpRouteRequest, reply: ReverseProxyHost },
      async (call) => {
        const route = httpRouteIn(call.body);
        const { order } = call.body;
        const decide = ({ httpRoutes, tcpRoute }: ProxyHost): ProxyChange => {
          if (tcpRoute) throw refusal(400, "cannot update reverse proxy HTTP route when TCP routes are present");
          const routes = withRoute(httpRoutes, route, order > 0 ? order : undefined);
          if (routes.length > mostRoutes) throw refusal(400, `error 400: a host has at most ${mostRoutes} HTTP routes`);
          return { httpRoutes: routes };
        };
        return shown(hub, call, await updateProxyHost(hub, call, await meant(hub, call, family), decide), family);
      },
    );
}

function orderRoutes(hub: Hub, mount: Mount, family: Family): void {
  mount(
    "put",
    `${pathOf(family)}/http_routes/order`,
    "Give an HTTP route another place, counted from 1",
    { tag: family.tag, needs: update, status: 200, body: ReorderRequest, reply: ReverseProxyHost },
    async (call) => {
      const { id, order } = call.body;
      if (id === "" || order < 1) throw refusal(400, "Invalid request body: error 400: id and an order of at least 1 are needed");
      const decide = (before: ProxyHost): ProxyChange => ({ httpRoutes: moved(routesWith(before, id), id.toLowerCase(), order) });
      return shown(hub, call, await updateProxyHost(hub, call, await meant(hub, call, family), decide), family);
    },
  );
}

function removeRoutes(hub: Hub, mount: Mount, family: Family): void {
  const { tag, httpRoute } = family;
  mount(
    "delete",
    `${pathOf(family)}/http_routes/{${httpRoute}}`,
    "Remove an HTTP route",
    { tag, needs: { claims: ["DELETE_REVERSE_PROXY_HOST_HTTP_ROUTE"] }, status: 202 },
    async (call) => {
      const id = call.param(httpRoute).toLowerCase();
      const decide = (before: ProxyHost): ProxyChange => ({ httpRoutes: routesWith(before, id).filter((route) => route.id !== id) });
      await updateProxyHost(hub, call, await meant(hub, call, family), decide);
    },
  );
}

/** The host's routes, among them the one of that id. */
function routesWith({ httpRoutes }: ProxyHost, id: string): ProxyHost["httpRoutes"] {
  if (httpRoutes.some((route) => route.id === id.toLowerCase())) return httpRoutes;
  throw refusal(404, "error 404: reverse proxy host http route not found");
}

function tcpRouteRoutes(hub: Hub, mount: Mount, family: Family): void {
  const { tag, written: status } = family;
  mount(
    "post",
    `${pathOf(family)}/tcp_route`,
    "Set the TCP route",
    {
      tag,
      needs: { claims: ["UPDATE_REVERSE_PROXY_HOST_TCP_ROUTE"] },
      status,
      body: TcpRouteRequest,
      reply: ReverseProxyHost,
    },
    async (call) => {
      const route = tcpRouteIn(call.body);
      const decide = ({ httpRoutes, tcpRoute, cors, sealedTls }: ProxyHost): ProxyChange => {
        if (httpRoutes.length > 0) throw refusal(400, "cannot update reverse proxy TCP route when HTTP routes are present");
        if (cors || sealedTls) throw refusal(400, "error 400: a host with a tcp_route has neither cors nor tls");
        return { tcpRoute: { ...route, id: tcpRoute?.id ?? route.id } };
      };
      return shown(hub, call, await updateProxyHost(hub, call, await meant(hub, call, family), decide), family);
    },
  );
}
