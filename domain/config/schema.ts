/**
 * The configuration of every process, read from environment variables in one go.
 *
 * The one idea: a pure function of the environment that reports all mistakes at once, so that nobody corrects one variable per start.
 * Who needs the configuration gets this value; nobody else reads the environment.
 */
import type { z } from "zod";
import { ok, refuse, type Result } from "../errors.ts";
import { mistakesOfFiles } from "./files.ts";
import { modulesOf } from "./modules.ts";
import { ignoredVariables } from "./ignored.ts";
import { aboutVariable, type VariableName, Variables, variableNames } from "./variables.ts";

export type Environment = Readonly<Record<string, string | undefined>>;
export type Config = ReturnType<typeof arrange>;

/** Reads the configuration; relative folders are taken from `folder`. An empty variable counts as one that is not set. */
export function readConfig(env: Environment, folder = ""): Result<Config> {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ""));
  const parsed = Variables.safeParse(given);
  const wrong = parsed.success ? contradictions(parsed.data) : parsed.error.issues.map((issue) => mistake(issue, given));
  const mistakes = [...mistakesOfFiles(given), ...wrong];
  if (!parsed.success || mistakes.length > 0) {
    return refuse({
      code: "configuration_invalid",
      message: `The configuration has mistakes: ${mistakes.join("; ")}.`,
      details: { mistakes },
    });
  }
  const chosen = variableNames.filter((name) => name in given);
  const ignored = ignoredVariables.filter((name) => name in given);
  return ok(arrange({ values: parsed.data, chosen, ignored, folder }));
}

/** One line per variable for `drover config`: what is in force, and whether someone chose it. Secrets are masked. */
export function describeConfig(config: Config): Array<{ variable: VariableName; value: string; chosen: boolean; description: string }> {
  return variableNames.map((variable) => ({
    variable,
    value: shown(variable, config.values[variable]),
    chosen: config.chosen.includes(variable),
    description: aboutVariable(variable).description,
  }));
}

function mistake(issue: z.core.$ZodIssue, given: Readonly<Record<string, unknown>>): string {
  const name = String(issue.path[0]);
  const known = variableNames.find((one) => one === name);
  const value = known !== undefined && aboutVariable(known).secret === true ? "" : ` is "${withoutCredentials(String(given[name]))}" and`;
  return `${name}${value} ${issue.message}`;
}

const withoutCredentials = (address: string) => address.replace(/\/\/[^@/]*@/, "//********@");

/** What each variable alone cannot show. */
function contradictions(values: Variables): string[] {
  const found: string[] = [];
  if (values.TLS_ENABLED && (values.TLS_CERTIFICATE === undefined || values.TLS_PRIVATE_KEY === undefined)) {
    found.push("TLS_ENABLED is true and must come with TLS_CERTIFICATE and TLS_PRIVATE_KEY");
  }
  if ((values.DROVER_STORE_ACCESS_KEY === undefined) !== (values.DROVER_STORE_SECRET_KEY === undefined)) {
    found.push("DROVER_STORE_ACCESS_KEY and DROVER_STORE_SECRET_KEY must be set together");
  }
  if (values.DROVER_STORE_ACCESS_KEY !== undefined && values.DROVER_STORE_CREDENTIALS !== undefined) {
    found.push("DROVER_STORE_CREDENTIALS and DROVER_STORE_ACCESS_KEY are both set and must not be");
  }
  if ((values.DROVER_SMTP_URL === undefined) !== (values.DROVER_SMTP_FROM === undefined)) {
    found.push("DROVER_SMTP_URL and DROVER_SMTP_FROM must be set together");
  }
  if (values.DROVER_MASTER_KEY_NEXT !== undefined && values.DROVER_MASTER_KEY === undefined) {
    found.push("DROVER_MASTER_KEY_NEXT is set and must come with DROVER_MASTER_KEY; a key in a file needs neither");
  }
  if (values.SECURITY_PASSWORD_MIN_PASSWORD_LENGTH > values.SECURITY_PASSWORD_MAX_PASSWORD_LENGTH) {
    found.push("SECURITY_PASSWORD_MIN_PASSWORD_LENGTH must not be above SECURITY_PASSWORD_MAX_PASSWORD_LENGTH");
  }
  return [...found, ...sharedPorts(values)];
}

function sharedPorts(values: Variables): string[] {
  const owners = new Map<number, VariableName>();
  const found: string[] = [];
  const embedded = [
    ...(values.DATABASE_URL ? [] : ["POSTGRES_PORT" as const]),
    ...(values.TEMPORAL_ADDRESS ? [] : (["TEMPORAL_PORT", "TEMPORAL_UI_PORT"] as const)),
  ];
  const ours = ["API_PORT", "GATEWAY_PORT", "GATEWAY_GRPC_PORT", "HUB_HEALTH_PORT", "GATEWAY_HEALTH_PORT", "HOST_HEALTH_PORT"] as const;
  for (const name of [...embedded, ...ours]) {
    const port = values[name];
    const other = owners.get(port);
    if (port !== 0 && other !== undefined) found.push(`${name} and ${other} are both ${port} and must differ`);
    owners.set(port, name);
  }
  return found;
}

interface Arranged {
  readonly values: Variables;
  readonly chosen: readonly VariableName[];
  readonly ignored: readonly string[];
  readonly folder: string;
}

/** The same facts in the groups that the processes ask for. */
function arrange({ values: v, chosen, ignored, folder }: Arranged) {
  const home = absolute(v.DROVER_HOME, folder);
  return {
    values: v,
    chosen,
    /** Variables that someone set and that have no meaning here. */
    ignored,
    home,
    logLevel: v.LOG_LEVEL,
    parkLimitMs: v.DROVER_PARK_LIMIT,
    orphanLimitMs: v.DROVER_ORPHAN_LIMIT ?? null,
    retention: { eventsMs: v.DROVER_KEEP_EVENTS, operationsMs: v.DROVER_KEEP_OPERATIONS, auditMs: v.DROVER_KEEP_AUDIT },
    database: { url: v.DATABASE_URL, embeddedPort: v.POSTGRES_PORT },
    temporal: {
      address: v.TEMPORAL_ADDRESS,
      namespace: v.TEMPORAL_NAMESPACE,
      binary: v.TEMPORAL_CLI_PATH,
      embeddedPort: v.TEMPORAL_PORT,
      embeddedUiPort: v.TEMPORAL_UI_PORT,
      /** The embedded server has its own; a server of one's own has one only where it is named. */
      uiUrl: v.TEMPORAL_UI_URL ?? (v.TEMPORAL_ADDRESS === undefined ? `http://127.0.0.1:${v.TEMPORAL_UI_PORT}` : undefined),
    },
    api: apiGroup(v),
    gateway: { host: v.GATEWAY_HOST, port: v.GATEWAY_PORT, grpcPort: v.GATEWAY_GRPC_PORT, publicHosts: v.GATEWAY_PUBLIC_HOSTS },
    health: { host: v.HEALTH_HOST, hubPort: v.HUB_HEALTH_PORT, gatewayPort: v.GATEWAY_HEALTH_PORT, hostPort: v.HOST_HEALTH_PORT },
    store: {
      location: storeLocation(v.DROVER_STORE ?? `folder:${home}/store`, folder),
      credentials: v.DROVER_STORE_CREDENTIALS,
      accessKey: v.DROVER_STORE_ACCESS_KEY,
      secretKey: v.DROVER_STORE_SECRET_KEY,
      sessionToken: v.DROVER_STORE_SESSION_TOKEN,
    },
    proxies: { HTTPS_PROXY: v.HTTPS_PROXY, HTTP_PROXY: v.HTTP_PROXY, NO_PROXY: v.NO_PROXY },
    care: {
      collectEveryMs: v.DROVER_COLLECT_EVERY,
      graceMs: v.DROVER_COLLECT_GRACE,
      scrubEveryMs: v.DROVER_SCRUB_EVERY,
      scrubShare: v.DROVER_SCRUB_SHARE / 100,
      retainEveryMs: v.DROVER_RETENTION_EVERY,
    },
    webhooks: {
      allow: v.DROVER_WEBHOOK_ALLOW,
      smtp:
        v.DROVER_SMTP_URL === undefined || v.DROVER_SMTP_FROM === undefined ? null : { url: v.DROVER_SMTP_URL, from: v.DROVER_SMTP_FROM },
    },
    security: securityGroup(v),
    hosts: hostsGroup(v),
  };
}

function hostsGroup(v: Variables) {
  return {
    defaultHost: v.DROVER_DEFAULT_HOST,
    roots: v.DROVER_HOST_ROOTS,
    simulated: v.DROVER_HOSTS,
    prlctl: v.DROVER_PRLCTL,
    simulate: v.DROVER_SIMULATE,
    storeSilentMs: v.DROVER_STORE_SILENCE,
    bootLimitMs: v.DROVER_BOOT_LIMIT,
    simulatedSize: { cpus: v.DROVER_SIMULATED_CPUS, memoryBytes: v.DROVER_SIMULATED_MEMORY },
    reserved: { cpus: v.SYSTEM_RESERVED_CPU, memoryBytes: v.SYSTEM_RESERVED_MEMORY, diskBytes: v.SYSTEM_RESERVED_DISK },
    transfers: {
      atOnce: v.DROVER_TRANSFERS,
      requests: v.DROVER_TRANSFER_REQUESTS ?? null,
      bytesPerSecond: v.DROVER_TRANSFER_BANDWIDTH ?? null,
      compression: v.DROVER_COMPRESSION,
    },
    peer: { port: v.DROVER_PEER_PORT, host: v.DROVER_PEER_HOST, network: v.DROVER_PEER_NETWORK },
    cache: {
      folder: v.CATALOG_CACHE_FOLDER,
      keepFreeBytes: v.CATALOG_CACHE_KEEP_FREE_DISK_SPACE,
      maximumBytes: v.CATALOG_CACHE_MAX_SIZE,
    },
  };
}

function apiGroup(v: Variables) {
  const scheme = v.TLS_ENABLED ? "https" : "http";
  const port = v.TLS_ENABLED ? v.TLS_PORT : v.API_PORT;
  const host = v.API_HOST === "0.0.0.0" || v.API_HOST === "::" ? "127.0.0.1" : v.API_HOST;
  return {
    host: v.API_HOST,
    port: v.API_PORT,
    prefix: v.API_PREFIX,
    /** Where clients reach it; on this computer unless BASE_URL says more. */
    url: v.BASE_URL ?? `${scheme}://${host}:${port}`,
    modules: modulesOf(v.ENABLED_MODULES),
    tls:
      v.TLS_ENABLED && v.TLS_CERTIFICATE !== undefined && v.TLS_PRIVATE_KEY !== undefined
        ? { port: v.TLS_PORT, certificate: v.TLS_CERTIFICATE, privateKey: v.TLS_PRIVATE_KEY, only: v.DISABLE_HTTP_WHEN_TLS }
        : undefined,
    limits: {
      callerPerMinute: v.DROVER_RATE_CALLER,
      sourcePerMinute: v.DROVER_RATE_SOURCE,
      callerAtOnce: v.DROVER_REQUESTS_CALLER,
      mostOpen: v.DROVER_REQUESTS,
      mostDelayMs: v.DROVER_OVERLOAD_DELAY,
    },
    proxies: { trusted: v.DROVER_TRUSTED_PROXIES, header: v.DROVER_PROXY_HEADER },
    cors: { origins: v.CORS_ALLOWED_ORIGINS, methods: v.CORS_ALLOWED_METHODS, headers: v.CORS_ALLOWED_HEADERS },
  };
}

function securityGroup(v: Variables) {
  return {
    masterKey: v.DROVER_MASTER_KEY,
    masterKeyNext: v.DROVER_MASTER_KEY_NEXT,
    rootPassword: v.ROOT_PASSWORD,
    tokenSecret: v.JWT_HMACS_SECRET,
    tokenLifetimeMs: v.JWT_DURATION,
    loginLimitMs: v.DROVER_LOGIN_LIMIT,
    codecPath: v.DROVER_CODEC_PATH,
    remotes: { allowed: v.URL_WHITELIST, unchecked: v.DISABLE_URL_VALIDATION },
    ssh: { knownHosts: v.DROVER_SSH_KNOWN_HOSTS, insecure: v.ENABLE_SSH_INSECURE_KEY },
    bruteForce: {
      attempts: v.BRUTE_FORCE_MAX_LOGIN_ATTEMPTS,
      lockoutMs: v.BRUTE_FORCE_LOCKOUT_DURATION,
      incremental: v.BRUTE_FORCE_INCREMENTAL_WAIT,
    },
    passwords: {
      minimumLength: v.SECURITY_PASSWORD_MIN_PASSWORD_LENGTH,
      maximumLength: v.SECURITY_PASSWORD_MAX_PASSWORD_LENGTH,
      lowercase: v.SECURITY_PASSWORD_REQUIRE_LOWERCASE,
      uppercase: v.SECURITY_PASSWORD_REQUIRE_UPPERCASE,
      number: v.SECURITY_PASSWORD_REQUIRE_NUMBER,
      special: v.SECURITY_PASSWORD_REQUIRE_SPECIAL_CHAR,
    },
  };
}

/** `domain/` knows no file system: joined by hand, as both are POSIX paths. */
const absolute = (path: string, folder: string) =>
  path.startsWith("/") || folder === "" ? path : `${folder}/${path.replace(/^\.\//, "")}`;

const storeLocation = (location: string, folder: string) =>
  location.startsWith("folder:") ? `folder:${absolute(location.slice("folder:".length), folder)}` : location;

function shown(variable: VariableName, value: unknown): string {
  if (value === undefined) return "";
  if (variable === "DATABASE_URL") return String(value).replace(/^(\w+:\/\/[^:@/]*):[^@]*@/, "$1:********@");
  if (aboutVariable(variable).secret === true) return "********";
  return Array.isArray(value) ? value.join(",") : String(value);
}
