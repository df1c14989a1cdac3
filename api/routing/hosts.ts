/**
 * Proxy hosts as callers of the wire change them: made, changed, removed, shown with what their targets are just now.
 *
 * The one idea: a row is locked before its change is decided, so two callers who add a route at once both find theirs.
 */
import type { Reader } from "../../domain/access/rules.ts";
import type { Host } from "../../domain/hosts/schema.ts";
import {
  changeProxyHost,
  findProxyHost,
  insertProxyHost,
  isProxyWanted,
  proxyHostAt,
  removeProxyHost,
  wantProxy,
  type ProxyHost,
  type ProxyHostValues,
  type ProxyScope,
} from "../../db/routing.ts";
import { seenMachines } from "../../db/observed.ts";
import type { Database } from "../../db/connect.ts";
import { proxyTlsSeal } from "../../security/sealed-texts.ts";
import { wireMachine } from "../machines/wire.ts";
import type { Hub } from "../ports.ts";
import { audited } from "../told.ts";
import { refusal } from "../wire/errors.ts";
import type { Call } from "../wire/mount.ts";
import { present } from "../wire/present.ts";
import { wireProxyHost, type Details, type TlsPair } from "./wire.ts";

type Asking = Pick<Call<unknown>, "asked">;
/** A change of one; certificate and key in clear. */
export type ProxyChange = Partial<Omit<ProxyHostValues, "sealedTls">> & { readonly tls?: TlsPair | undefined };

export async function mustFindProxyHost(db: Database, scope: ProxyScope, id: string, how: { lock?: boolean } = {}): Promise<ProxyHost> {
  const found = await findProxyHost(db, scope, id, how);
  if (found) return found;
  throw refusal(404, "error 404: reverse proxy host not found");
}

export function makeProxyHost(
  hub: Hub,
  { asked }: Asking,
  hostId: string,
  { tls, ...values }: Omit<ProxyHostValues, "sealedTls"> & { readonly tls: TlsPair | undefined },
): Promise<ProxyHost> {
  const subject = `${values.host}:${values.port}`;
  return audited(hub, asked, { action: "proxy_host.added", subject }, async (tx) => {
    await mustBeFree(tx, { hostId, ...values }, null);
    const id = crypto.randomUUID();
    const sealedTls = tls ? await proxyTlsSeal<TlsPair>(hub.sealer).close(id, tls) : null;
    return insertProxyHost(tx, { id, project: asked.actor.project, hostId, ...values, sealedTls });
  });
}

export function updateProxyHost(
  hub: Hub,
  { asked }: Asking,
  { scope, id }: { scope: ProxyScope; id: string },
  decide: (before: ProxyHost, tls: TlsPair | null) => ProxyChange,
): Promise<ProxyHost> {
  return audited(hub, asked, { action: "proxy_host.changed", subject: id }, async (tx) => {
    const before = await mustFindProxyHost(tx, scope, id, { lock: true });
    const { tls, ...changes } = decide(before, await tlsOf(hub, before));
    await mustBeFree(tx, { ...before, ...changes }, before.id);
    const sealed = tls ? { sealedTls: await proxyTlsSeal<TlsPair>(hub.sealer).close(before.id, tls) } : {};
    return changeProxyHost(tx, before.id, { ...changes, ...sealed });
  });
}

export function dropProxyHost(hub: Hub, { asked }: Asking, { scope, id }: { scope: ProxyScope; id: string }): Promise<void> {
  return audited(hub, asked, { action: "proxy_host.removed", subject: id }, async (tx) =>
    removeProxyHost(tx, (await mustFindProxyHost(tx, scope, id, { lock: true })).id),
  );
}

async function mustBeFree(tx: Database, wanted: Pick<ProxyHost, "hostId" | "host" | "port">, own: string | null): Promise<void> {
  const holder = await proxyHostAt(tx, wanted);
  if (holder !== null && holder !== own)
    throw refusal(400, `error 400: reverse proxy host ${wanted.host}:${wanted.port} already exists with ID ${holder}`);
}

/** What `enable` and `disable` ask for is kept for the day on which traffic is carried. */
export function setProxyWanted(hub: Hub, { asked }: Asking, { id, name }: Host, wanted: boolean): Promise<void> {
  const action = wanted ? "proxy.enabled" : "proxy.disabled";
  return audited(hub, asked, { action, subject: name }, (tx) => wantProxy(tx, id, wanted));
}

export const proxyWanted = (hub: Hub, host: Host | null): Promise<boolean> =>
  host === null ? Promise.resolve(true) : isProxyWanted(hub.db, host.id);

const tlsOf = async ({ sealer }: Hub, { id, sealedTls }: ProxyHost): Promise<TlsPair | null> =>
  sealedTls === null ? null : proxyTlsSeal<TlsPair>(sealer).open(id, sealedTls);

export async function shownProxyHosts(hub: Hub, hosts: readonly ProxyHost[], { fleet, reader }: { fleet: boolean; reader: Reader }) {
  const details = await targetDetails(hub, hosts, reader);
  return Promise.all(hosts.map(async (host) => wireProxyHost(host, await tlsOf(hub, host), { fleet, details })));
}

/** Machines are read only where a route names one. */
async function targetDetails(hub: Hub, hosts: readonly ProxyHost[], reader: Reader): Promise<Details> {
  const targets = hosts.flatMap(({ httpRoutes, tcpRoute }) => [...httpRoutes, ...(tcpRoute ? [tcpRoute] : [])]);
  if (targets.every(({ target }) => target.machine === null)) return () => null;
  const machines = (await seenMachines(hub.db, { reader })).map((one) => wireMachine(one, { fleet: false }));
  return (word) => {
    const wanted = word.toLowerCase();
    const one = machines.find(({ ID }) => ID === wanted) ?? machines.find(({ Name }) => Name.toLowerCase() === wanted);
    if (!one) return null;
    const tools = one["GuestTools"] as { state?: unknown; version?: unknown } | undefined;
    const address = one["internal_ip_address"];
    return present({
      name: one.Name,
      state: one.State,
      os: textOf(one["OS"]),
      uptime: textOf(one["Uptime"]),
      guest_tools_state: textOf(tools?.state),
      guest_tools_version: textOf(tools?.version),
      internal_ip_address: address === "-" ? "" : textOf(address),
    });
  };
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
