/**
 * The database of a Parallels DevOps service, `data.json`: one document of lists, as that service has written it over its releases.
 *
 * The one idea: a record is read for what it means here, and every field of it is one that is taken, one that is known to mean nothing here, or one that
 * is told as unknown; so a newer release's file cannot lose anything unseen.
 */
import { z } from "zod";
import { ok, refuse, type Result } from "../errors.ts";
import type { Moved, MovingReport } from "./report.ts";

const text = z
  .string()
  .nullish()
  .transform((word) => word ?? "");
const flag = z
  .boolean()
  .nullish()
  .transform((word) => word ?? false);
const words = z
  .array(z.string())
  .nullish()
  .transform((list) => list ?? []);
const pairs = z
  .record(z.string(), z.string())
  .nullish()
  .transform((record) => record ?? {});
/** Roles and claims stand in their holders whole, or as their ids. */
const named = z
  .array(z.union([z.string(), z.looseObject({ id: text, name: text })]))
  .nullish()
  .transform((list) => (list ?? []).map((one) => (typeof one === "string" ? one : one.id || one.name)));
/** Known, and without meaning here. */
const unused = z.unknown().optional();
const times = { created_at: unused, updated_at: unused, db_record: unused };

const Claim = z.looseObject({ id: text, name: text, description: text, internal: unused, group: unused, resource: unused, action: unused });
const Role = z.looseObject({ id: text, name: text, description: text, internal: unused, claims: named });
const User = z.looseObject({
  id: text,
  username: text,
  name: text,
  email: text,
  password: text,
  roles: named,
  claims: named,
  failed_login_attempts: unused,
  blocked: flag,
  blocked_since: unused,
  blocked_reason: unused,
  ...times,
});
const ApiKey = z.looseObject({
  id: text,
  name: text,
  key: text,
  secret: text,
  revoked: flag,
  revoked_at: unused,
  expires_at: text,
  user_id: text,
  ...times,
});
const UserConfig = z.looseObject({ id: unused, user_id: text, slug: text, name: text, type: text, value: text, ...times });
const PackerTemplate = z.looseObject({
  id: text,
  name: text,
  owner: unused,
  hostname: unused,
  description: text,
  packer_folder: text,
  variables: pairs,
  addons: words,
  specs: pairs,
  defaults: pairs,
  internal: flag,
  required_roles: words,
  required_claims: words,
  ...times,
});
const Manager = z.looseObject({
  id: text,
  name: text,
  url: text,
  internal: flag,
  active: flag,
  authentication_method: text,
  username: text,
  password: text,
  api_key: text,
  global: flag,
  required_claims: words,
  owner_id: text,
  ...times,
});
const Host = z.looseObject({
  id: text,
  host: text,
  description: text,
  tags: words,
  enabled: unused,
  architecture: unused,
  cpu_model: unused,
  os_version: unused,
  os_name: unused,
  external_ip_address: unused,
  devops_version: unused,
  port: unused,
  schema: unused,
  path_prefix: unused,
  parallels_desktop_version: unused,
  parallels_desktop_licensed: unused,
  has_websocket_events: unused,
  is_local: unused,
  authentication: unused,
  resources: unused,
  state: unused,
  last_seen: unused,
  last_seen_error_message: unused,
  virtual_machines: unused,
  is_reverse_proxy_enabled: unused,
  is_log_streaming_enabled: unused,
  enabled_modules: unused,
  reverse_proxy: unused,
  reverse_proxy_hosts: unused,
  cache_config: unused,
  cache_items: unused,
  required_claims: unused,
  required_roles: unused,
  ...times,
});
/** Its parts are read as the wire's routes read them. */
const ProxyHost = z.looseObject({
  id: text,
  host_id: text,
  name: text,
  host: text,
  port: text,
  tls: unused,
  cors: unused,
  http_routes: unused,
  tcp_route: unused,
  ...times,
});
const Provider = z.looseObject({ type: text, meta: pairs });
const Manifest = z.looseObject({
  id: unused,
  catalog_id: text,
  name: unused,
  version: text,
  architecture: text,
  description: unused,
  path: unused,
  pack_path: unused,
  metadata_path: unused,
  type: unused,
  provider: Provider.nullish(),
  size: unused,
  required_roles: words,
  required_claims: words,
  tags: words,
  last_downloaded_at: unused,
  last_downloaded_user: unused,
  is_compressed: unused,
  pack_relative_path: unused,
  download_count: unused,
  virtual_machine_contents: unused,
  pack_contents: unused,
  pack_size: unused,
  minimum_requirements: unused,
  tainted: flag,
  tainted_by: unused,
  tainted_at: unused,
  untainted_by: unused,
  revoked: flag,
  revoked_by: unused,
  revoked_at: unused,
  cache_date: unused,
  cache_local_path: unused,
  cache_metadata_name: unused,
  cache_file_name: unused,
  cache_type: unused,
  cache_size: unused,
  cache_used_count: unused,
  cache_last_used: unused,
  ...times,
});

const sections = {
  claims: Claim,
  roles: Role,
  users: User,
  api_keys: ApiKey,
  user_configs: UserConfig,
  virtual_machine_templates: PackerTemplate,
  catalog_managers: Manager,
  orchestrator_hosts: Host,
  reverse_proxy_hosts: ProxyHost,
  catalog_manifests: Manifest,
} as const;
type Section = keyof typeof sections;
export type DevopsDatabase = { readonly [Name in Section]: ReadonlyArray<z.output<(typeof sections)[Name]>> };

/** Whole sections that are known and not taken over. */
const leftSections: Readonly<Record<string, string>> = {
  schema: "",
  configuration: "Drover is configured by its environment.",
  jobs: "What was done there stays there.",
  vm_snapshots: "Hosts tell their snapshots when they are asked.",
  orchestrator_snapshots: "Hosts tell their snapshots when they are asked.",
  enrollment_tokens: "They last a quarter of an hour.",
  reverse_proxy: "Whether a proxy is wanted is said with `PUT /reverse-proxy/enable`.",
};

/** The document without what is not taken over, which it tells: machines and jobs are most of a file, and nobody needs to send them. */
export function trimmed(document: Readonly<Record<string, unknown>>): { document: Record<string, unknown>; left: Moved[] } {
  const left: Moved[] = [];
  const kept = Object.entries(document).filter(([name, value]) => {
    const why = leftSections[name];
    if (why === undefined) return true;
    const count = Array.isArray(value) ? value.length : 1;
    if (why !== "" && count > 0)
      left.push({ kind: "section", name, what: "left", note: Array.isArray(value) ? `${count} records: ${why}` : why });
    return false;
  });
  return { document: Object.fromEntries(kept.map(([name, value]) => [name, withoutMachines(name, value)])), left };
}

/** What a host reports is most of its record. */
const heavy = new Set(["virtual_machines", "resources", "cache_items", "authentication", "reverse_proxy_hosts"]);
const withoutMachines = (section: string, value: unknown): unknown =>
  section === "orchestrator_hosts" && Array.isArray(value)
    ? value.map((host: unknown) =>
        typeof host === "object" && host !== null ? Object.fromEntries(Object.entries(host).filter(([key]) => !heavy.has(key))) : host,
      )
    : value;

export interface ReadDatabase {
  readonly database: DevopsDatabase;
  readonly left: readonly Moved[];
  readonly unknown: MovingReport["unknown"];
}

/** A record that cannot be read refuses the whole file, by its place. */
export function readDevops(written: Readonly<Record<string, unknown>>): Result<ReadDatabase> {
  const { document, left } = trimmed(written);
  const unknown = new Map<string, number>();
  const count = (field: string) => unknown.set(field, (unknown.get(field) ?? 0) + 1);
  for (const name of Object.keys(document)) if (!(name in sections)) count(name);
  const read: Partial<Record<Section, unknown[]>> = {};
  for (const name of Object.keys(sections) as Section[]) {
    const records = z.array(sections[name]).nullish().safeParse(document[name]);
    if (!records.success) return wrong(name, records.error);
    const known = new Set(Object.keys(sections[name].shape));
    for (const record of records.data ?? []) for (const key of Object.keys(record)) if (!known.has(key)) count(`${name}[].${key}`);
    read[name] = records.data ?? [];
  }
  const told = [...unknown].map(([field, records]) => ({ field, count: records })).toSorted((a, b) => a.field.localeCompare(b.field));
  return ok({ database: read as DevopsDatabase, left, unknown: told });
}

function wrong(section: string, { issues: [issue] }: z.ZodError): Result<never> {
  const place = [section, ...(issue?.path ?? [])].join(".");
  return refuse({
    code: "invalid_request",
    message: `The database cannot be read: ${place}: ${issue?.message ?? "wrong"}.`,
    subject: place,
  });
}
