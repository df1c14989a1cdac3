/**
 * The wire's connection strings: parts of `key=value` joined by `;`, which name a store, another catalog, or both.
 *
 * The one idea: keys are matched whole and whatever their case, values keep theirs, and what is read can be written again. Parts that nobody here knows are
 * kept, as clients have their own. No mistake repeats a value.
 */
import { ok, refuse, type Result } from "../../domain/errors.ts";

/** Another catalog, which `host=` names. */
export interface CatalogHost {
  readonly scheme: "http" | "https";
  readonly name: string;
  readonly port?: number;
  readonly username?: string;
  readonly password?: string;
  /** base64 of `key:secret`. */
  readonly apiKey?: string;
}

export const providers = ["aws-s3", "minio", "azure-storage-account", "artifactory", "local-storage"] as const;
export type Provider = (typeof providers)[number];

export interface Connection {
  readonly host: CatalogHost | null;
  readonly provider: Provider | null;
  /** All parts but `provider` and those of the catalog, by their keys in lower case. */
  readonly parts: Readonly<Record<string, string>>;
}

const required: Readonly<Record<Provider, readonly string[]>> = {
  "aws-s3": ["bucket", "region"],
  minio: ["bucket", "endpoint"],
  "azure-storage-account": ["storage_account_name", "storage_account_key", "container_name"],
  artifactory: ["url", "repo"],
  "local-storage": [],
};
const switches = ["use_environment_authentication", "use_ssl", "ignore_cert"];

export function parseConnection(text: string): Result<Connection> {
  const found: Record<string, string> = {};
  for (const [at, part] of text.split(";").entries()) {
    if (part.trim() === "") continue;
    const [, key = "", value = ""] = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/s.exec(part) ?? [];
    if (key === "") return wrong(`part ${at + 1} is not a key and a value joined by "="`);
    const name = key.toLowerCase();
    if (!/^[a-z0-9_-]{1,64}$/.test(name)) return wrong(`part ${at + 1} begins with no key`);
    if (name in found && found[name] !== value) return wrong(`${name} is given twice`);
    found[name] = value;
  }
  const { provider: word, ...rest } = found;
  const provider = word === undefined ? null : (providers.find((known) => known === word.toLowerCase()) ?? undefined);
  // Only a word is repeated: somebody may have put a key where the provider belongs.
  if (provider === undefined)
    return refuse({ code: "store_invalid", message: `no remote service found for the provider ${harmless(word ?? "")}`.trimEnd() });
  const whole = checkedParts(provider, rest);
  if (!whole.ok) return whole;
  const host = hostIn(provider, rest);
  return host.ok ? ok({ provider, ...host.value }) : host;
}

const harmless = (word: string): string => (/^[a-z-]{1,30}$/.test(word) ? word : "");
const wrong = (what: string): Result<never> => refuse({ code: "store_invalid", message: `the connection is wrong: ${what}` });

function checkedParts(provider: Provider | null, parts: Readonly<Record<string, string>>): Result<void> {
  const strange = switches.find((name) => !/^(true|false)?$/i.test(parts[name] ?? ""));
  if (strange !== undefined) return wrong(`${strange} must be true or false`);
  if (provider === null) return ok(undefined);
  const missing = [...required[provider], ...secretsOf(provider, parts)].find((name) => !parts[name]);
  if (missing !== undefined) return refuse({ code: "store_invalid", message: `the ${provider} connection lacks ${missing}` });
  if (provider === "artifactory" && parts["access_key"] && (parts["username"] || parts["password"]))
    return wrong("access_key and username exclude each other");
  return ok(undefined);
}

function secretsOf(provider: Provider, parts: Readonly<Record<string, string>>): readonly string[] {
  if (provider === "artifactory") return parts["access_key"] ? [] : parts["username"] ? ["password"] : ["access_key"];
  const given = provider === "aws-s3" || provider === "minio";
  return given && !isOn(parts["use_environment_authentication"]) ? ["access_key", "secret_key"] : [];
}

export const isOn = (value: string | undefined): boolean => value?.toLowerCase() === "true";

const hostPattern = /^(?:(?<rights>.*)@)?(?:(?<scheme>https?):\/\/)?(?<name>[^@/:\s]+)(?::(?<port>\d{1,5}))?\/?$/is;

/** Takes the parts that speak of the catalog from the others. */
function hostIn(provider: Provider | null, parts: Readonly<Record<string, string>>): Result<Pick<Connection, "host" | "parts">> {
  if (parts["host"] === undefined) return ok({ host: null, parts });
  // A store's own name and password are not the catalog's.
  const own = provider === "artifactory" ? ["host", "port", "api_key"] : ["host", "port", "api_key", "username", "password"];
  const others = Object.fromEntries(Object.entries(parts).filter(([name]) => !own.includes(name)));
  const given = (name: string) => (own.includes(name) ? parts[name] : undefined);
  const matched = hostPattern.exec(parts["host"])?.groups;
  if (matched === undefined) return wrong("host is not a name with what may stand around it: [user:password@][http://]name[:port]");
  const { rights = "", scheme = "http", name = "", port = given("port") } = matched;
  if (port !== undefined && !(Number(port) >= 1 && Number(port) <= 65_535)) return wrong("port must be a number from 1 to 65535");
  const colon = rights.indexOf(":");
  const username = given("username") ?? (colon < 0 ? undefined : rights.slice(0, colon));
  const password = given("password") ?? (colon < 0 ? undefined : rights.slice(colon + 1));
  const apiKey = given("api_key") ?? (colon < 0 && rights !== "" ? rights : undefined);
  return ok({
    host: {
      scheme: scheme.toLowerCase() === "https" ? "https" : "http",
      name,
      ...(port === undefined ? {} : { port: Number(port) }),
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(apiKey === undefined ? {} : { apiKey }),
    },
    parts: others,
  });
}

/** The same connection as a string that `parseConnection` reads. It holds secrets. */
export function formatConnection({ host, provider, parts }: Connection): string {
  const catalog = host && {
    host: `${host.scheme}://${host.name}`,
    port: host.port,
    username: host.username,
    password: host.password,
    api_key: host.apiKey,
  };
  const all: Record<string, string | number | undefined> = { ...catalog, provider: provider ?? undefined, ...parts };
  return Object.entries(all)
    .flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]))
    .join(";");
}
