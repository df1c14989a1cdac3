/**
 * What tells the wire's two families of reverse proxy routes apart.
 *
 * The one idea: a proxy belongs to a host; a request that names none sees the proxies of all hosts, and changes one only where it is clear whose.
 */
import type { ClaimId } from "../../domain/access/claims.ts";
import { unwrap } from "../../domain/errors.ts";
import type { Host } from "../../domain/hosts/schema.ts";
import { findHost } from "../../db/hosts.ts";
import type { ProxyHost, ProxyScope } from "../../db/routing.ts";
import { mustNameHost, namedHost } from "../hosts/scope.ts";
import type { Hub } from "../ports.ts";
import type { Call } from "../wire/mount.ts";
import { shownProxyHosts } from "./hosts.ts";

type Asking = Pick<Call<unknown>, "c" | "param" | "actor">;
export interface Family {
  readonly base: string;
  readonly tag: string;
  readonly fleet: boolean;
  /** Their names in the path. */
  readonly proxyHost: string;
  readonly httpRoute: string;
  /** What a create and a change answer with. */
  readonly written: 200 | 201;
  readonly see: ClaimId;
  /** Null: those of all hosts. */
  host(hub: Hub, call: Asking): Promise<Host | null>;
  mustHost(hub: Hub, call: Asking): Promise<Host>;
}

const namedIn = async (hub: Hub, { param }: Asking): Promise<Host> => unwrap(await findHost(hub.db, param("id")));
export const onHost: Family = {
  base: "/reverse-proxy",
  tag: "reverse proxy",
  fleet: false,
  proxyHost: "id",
  httpRoute: "http_route_id",
  written: 201,
  see: "CONFIGURE_REVERSE_PROXY",
  host: namedHost,
  mustHost: mustNameHost,
};
export const ofFleetHost: Family = {
  base: "/orchestrator/hosts/{id}/reverse-proxy",
  tag: "orchestrator reverse proxy",
  fleet: true,
  proxyHost: "reverse_proxy_host_id",
  httpRoute: "route_id",
  written: 200,
  see: "LIST_REVERSE_PROXY_HOSTS",
  host: namedIn,
  mustHost: namedIn,
};

export const scopeOf = async (hub: Hub, call: Asking, family: Family): Promise<ProxyScope> => ({
  project: call.actor.project,
  hostId: (await family.host(hub, call))?.id ?? null,
});
export const meant = async (hub: Hub, call: Asking, family: Family) => ({
  scope: await scopeOf(hub, call, family),
  id: call.param(family.proxyHost),
});

export async function shown(hub: Hub, { actor }: Pick<Asking, "actor">, host: ProxyHost, { fleet }: Family): Promise<unknown> {
  const [one] = await shownProxyHosts(hub, [host], { fleet, reader: actor });
  return one;
}
