/**
 * Moving in, the part about what people work with: templates, catalog managers, proxy hosts, and which Macs have to be enrolled.
 *
 * The one idea: a host is never taken over, since it must make a key of its own; what belongs to one waits until it is here, and another run brings it.
 */
import { findCatalogManager, insertCatalogManager } from "../../db/catalog-managers.ts";
import { findHost, listHosts } from "../../db/hosts.ts";
import { insertProxyHost, proxyHostAt } from "../../db/routing.ts";
import { insertTemplate } from "../../db/templates.ts";
import { findUser, rootName } from "../../db/users.ts";
import { isWhole, managerUrl } from "../../domain/catalog/managers.ts";
import { FaultError } from "../../domain/errors.ts";
import type { Host } from "../../domain/hosts/schema.ts";
import type { DevopsDatabase } from "../../domain/moving/devops.ts";
import { managerSeal, proxyTlsSeal } from "../../security/sealed-texts.ts";
import { HTTPException } from "hono/http-exception";
import { addressIn, corsIn, HostCreateRequest, httpRouteIn, tcpRouteIn, tlsIn, type TlsPair } from "../routing/wire.ts";
import { idFrom, type Moving, type UserIds } from "./people.ts";

export async function moveThings(moving: Moving, ids: UserIds, wantedHost: string | null): Promise<void> {
  await moveTemplates(moving);
  await moveManagers(moving, ids);
  const hosts = await moveHosts(moving);
  await moveProxyHosts(moving, hosts, wantedHost);
}

async function moveTemplates({ tx, data, project, tell }: Moving): Promise<void> {
  for (const template of data.virtual_machine_templates) {
    const { id, name, description, packer_folder: packerFolder, variables, addons, specs, defaults, internal } = template;
    if (id === "") {
      tell("packer template", name, "todo", "it has no id");
      continue;
    }
    const required = { requiredRoles: template.required_roles, requiredClaims: template.required_claims };
    const values = { name: name || id, description, packerFolder, variables, addons, specs, defaults, internal, ...required };
    const made = await insertTemplate(tx, project, id, values);
    tell("packer template", id, made ? "added" : "kept");
  }
}

/** As that service writes secrets where it has a key: some 350 characters at least. */
const looksEncrypted = (secret: string): boolean => /^[A-Za-z0-9+/=]{340,}$/.test(secret);

async function moveManagers({ tx, hub, data, project, tell }: Moving, ids: UserIds): Promise<void> {
  for (const manager of data.catalog_managers) {
    const { id, name, username, password, api_key: apiKey, owner_id } = manager;
    const url = managerUrl(manager.url);
    const credentials = { username, password, apiKey };
    if (id !== "" && (await findCatalogManager(tx, id))) tell("catalog manager", name, "kept");
    else if (id === "" || url === null) tell("catalog manager", name, "todo", "its id or its url cannot be used: add it anew");
    else if ([password, apiKey].some(looksEncrypted))
      tell("catalog manager", name, "todo", "its credentials are encrypted: give their key with --key");
    else {
      const ownerId = ids.get(owner_id) ?? (await findUser(tx, owner_id === "" ? rootName : owner_id))?.id ?? null;
      const { internal, active, authentication_method: authenticationMethod, global, required_claims: requiredClaims } = manager;
      const sealed = isWhole(credentials) ? await managerSeal(hub.sealer).close(id, credentials) : null;
      const row = {
        id,
        project,
        name,
        url,
        internal,
        active,
        authenticationMethod,
        global,
        requiredClaims,
        ownerId,
        trusted: true,
        sealed,
      };
      await insertCatalogManager(tx, row);
      tell("catalog manager", name, "added", sealed === null ? "without credentials: give it some" : "not asked yet whether it answers");
    }
  }
}

/** Ids of hosts there, and which they are here; null for one that is not here. */
type HostIds = ReadonlyMap<string, Host | null>;

async function moveHosts({ tx, data, tell }: Moving): Promise<HostIds> {
  const hosts = new Map<string, Host | null>();
  for (const { id, host, description, tags } of data.orchestrator_hosts) {
    const address = URL.canParse(host) ? new URL(host).hostname : host.replace(/[:/].*$/, "");
    const found = await firstHost(tx, [description, address]);
    hosts.set(id, found);
    const name = description || address;
    const lacking = tags.filter((tag) => !found?.labels.includes(tag));
    if (!found)
      tell(
        "host",
        name,
        "todo",
        `enrol it: \`drover host token ${quoted(name)}\`${tags.length > 0 ? `, then \`drover host label ${quoted(name)} ${tags.map(quoted).join(" ")}\`` : ""}`,
      );
    else
      tell(
        "host",
        name,
        "kept",
        lacking.length > 0 ? `enrolled as ${found.name}, without the labels ${lacking.join(", ")}` : `enrolled as ${found.name}`,
      );
  }
  return hosts;
}

const quoted = (word: string): string => (/^[\w.-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`);

async function firstHost(tx: Moving["tx"], names: readonly string[]): Promise<Host | null> {
  for (const name of names) {
    const found = name === "" ? null : await findHost(tx, name);
    if (found?.ok) return found.value;
  }
  return null;
}

async function moveProxyHosts(moving: Moving, hosts: HostIds, wantedHost: string | null): Promise<void> {
  const { tx, data, tell } = moving;
  const [only, other] = await listHosts(tx);
  const own = wantedHost === null ? (only && !other ? only : null) : await firstHost(tx, [wantedHost]);
  for (const record of data.reverse_proxy_hosts) {
    const name = `${record.host}:${record.port}`;
    const host = record.host_id === "" ? own : (hosts.get(record.host_id) ?? own);
    if (!host) {
      tell("proxy host", name, "todo", "its host is not here: enrol that, or name one with --host, and import again");
      continue;
    }
    try {
      await moveProxyHost(moving, record, host);
    } catch (error) {
      // What the wire's own routes would refuse.
      if (!(error instanceof HTTPException) && !(error instanceof FaultError)) throw error;
      tell("proxy host", name, "todo", error.message);
    }
  }
}

type ProxyRecord = DevopsDatabase["reverse_proxy_hosts"][number];

async function moveProxyHost({ tx, hub, project, tell }: Moving, record: ProxyRecord, { id: hostId, name: on }: Host): Promise<void> {
  const {
    tls: sentTls,
    cors,
    http_routes,
    tcp_route,
    name,
  } = HostCreateRequest.parse(Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null)));
  const address = addressIn(record);
  if ((await proxyHostAt(tx, { hostId, ...address })) !== null)
    return tell("proxy host", `${address.host}:${address.port}`, "kept", `on ${on}`);
  const id = idFrom("proxy host", `${hostId} ${record.id || address.host}:${address.port}`);
  const tls = tlsIn(sentTls, null);
  const values = {
    name: name ?? "",
    ...address,
    cors: corsIn(cors) ?? null,
    httpRoutes: http_routes.map(httpRouteIn),
    tcpRoute: tcp_route ? tcpRouteIn(tcp_route) : null,
  };
  const sealedTls = tls ? await proxyTlsSeal<TlsPair>(hub.sealer).close(id, tls) : null;
  await insertProxyHost(tx, { id, project, hostId, ...values, sealedTls });
  return tell("proxy host", `${address.host}:${address.port}`, "added", `on ${on}`);
}
