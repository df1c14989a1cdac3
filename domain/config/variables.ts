/**
 * Every environment variable that Drover reads, once: what it means, its default, and whether it is a secret.
 *
 * The one idea: validation, `drover config` and the documentation all come from this table, so that none can lag behind another.
 * Names and units are those that users of the Parallels DevOps service know; ours begin with DROVER_.
 */
import { modules } from "./modules.ts";
import { z } from "zod";
import { locationForms } from "../catalog/store-location.ts";
import {
  base64Pem,
  compression,
  count,
  duration,
  flag,
  hostAndPort,
  megabytes,
  networks,
  oneOf,
  port,
  portOrOff,
  rate,
  storeCredentials,
  storeLocation,
  url,
  words,
  wordsOf,
} from "./values.ts";

/** How a variable is described; `secret` ones are masked wherever they are shown. */
interface About {
  readonly description: string;
  readonly secret?: boolean;
}
const about = (description: string) => ({ description });
const secret = (description: string) => ({ description, secret: true });

const text = z.string();
const masterKey = text.regex(/^[A-Za-z0-9+/_-]{43}=?$/, "must be 32 random bytes in base64, as `openssl rand -base64 32` makes them");
export const Variables = z.object({
  DROVER_HOME: text.prefault(".drover").meta(about("The one folder that holds all state.")),
  LOG_LEVEL: text
    .toLowerCase()
    .pipe(oneOf("debug", "info", "warn", "error"))
    .prefault("info")
    .meta(about("How much the processes write to their logs.")),

  DATABASE_URL: url("postgres", "postgresql").optional().meta(secret("A PostgreSQL of your own instead of the embedded one.")),
  POSTGRES_PORT: port.prefault("5433").meta(about("Port of the embedded PostgreSQL, on loopback.")),

  TEMPORAL_ADDRESS: hostAndPort.optional().meta(about("A Temporal server of your own instead of the embedded one.")),
  TEMPORAL_NAMESPACE: text.prefault("drover").meta(about("The Temporal namespace that Drover's workflows live in.")),
  TEMPORAL_API_KEY: text.optional().meta(secret("API key for your own Temporal server.")),
  TEMPORAL_PROFILE: text.optional().meta(about("Profile in Temporal's configuration file.")),
  TEMPORAL_CONFIG_FILE: text.optional().meta(about("Path of Temporal's configuration file (TOML).")),
  TEMPORAL_TLS: flag.optional().meta(about("Whether the connection to Temporal uses TLS.")),
  TEMPORAL_TLS_CLIENT_CERT_PATH: text.optional().meta(about("Client certificate for Temporal (PEM file).")),
  TEMPORAL_TLS_CLIENT_KEY_PATH: text.optional().meta(about("Key of that certificate (PEM file).")),
  TEMPORAL_TLS_SERVER_CA_CERT_PATH: text.optional().meta(about("Authority of Temporal's certificate (PEM file).")),
  TEMPORAL_TLS_SERVER_NAME: text.optional().meta(about("Name expected in Temporal's certificate.")),
  TEMPORAL_CLI_PATH: text.optional().meta(about("The `temporal` executable, instead of looking for one.")),
  TEMPORAL_PORT: port.prefault("7233").meta(about("Port of the embedded Temporal server, on loopback.")),
  TEMPORAL_UI_PORT: port.prefault("8233").meta(about("Port of the embedded Temporal web UI, on loopback.")),
  TEMPORAL_UI_URL: url("http", "https").optional().meta(about("Where people open the Temporal web UI.")),

  DROVER_CODEC_PATH: text
    .regex(/^[\w-]{16,}$/, "must have at least 16 letters or digits")
    .optional()
    .meta(secret("Last part of the path where the embedded stack's web UI has payloads decrypted.")),

  API_PORT: port.prefault("3080").meta(about("HTTP port of the API.")),
  API_HOST: text.prefault("127.0.0.1").meta(about("Address that the API listens on; 0.0.0.0 for all.")),
  API_PREFIX: text
    .regex(/^\/[\w./-]*$/, "must be a path that begins with /")
    .prefault("/api")
    .meta(about("Path prefix of the API.")),
  BASE_URL: url("http", "https").optional().meta(about("Address under which others reach the API.")),
  ENABLED_MODULES: wordsOf(modules)
    .prefault(modules.join(","))
    .meta(
      about(
        "Families of routes that the API has. `host` brings `cache` and `reverse_proxy` along, and all but a catalog alone `catalog_manager`.",
      ),
    ),
  TLS_ENABLED: flag.prefault("false").meta(about("Whether the API speaks HTTPS.")),
  TLS_PORT: port.prefault("443").meta(about("HTTPS port of the API.")),
  TLS_CERTIFICATE: base64Pem.optional().meta(about("Certificate chain of the API (PEM in base64).")),
  TLS_PRIVATE_KEY: base64Pem.optional().meta(secret("Key of that certificate (PEM in base64).")),
  DISABLE_HTTP_WHEN_TLS: flag.prefault("false").meta(about("No plain HTTP beside HTTPS.")),
  CORS_ALLOWED_ORIGINS: words.prefault("*").meta(about("Origins that browsers may call the API from.")),
  CORS_ALLOWED_METHODS: words.prefault("GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS").meta(about("Methods that browsers may use.")),
  CORS_ALLOWED_HEADERS: words
    .prefault(
      "Authorization,Content-Type,X-Api-Key,X-Drover-Host,X-Filter,X-Logging,X-Source,X-Source-Id,Idempotency-Key,Last-Event-ID,Request-Timeout",
    )
    .meta(about("Request headers that browsers may send.")),
  DROVER_TRUSTED_PROXIES: networks
    .prefault("")
    .meta(
      about(
        "Networks, such as 10.1.0.0/16, of reverse proxies and balancers in front of the API whose word on the address of a client counts; nobody else's does.",
      ),
    ),
  DROVER_PROXY_HEADER: text
    .toLowerCase()
    .pipe(oneOf("x-forwarded-for", "forwarded"))
    .prefault("x-forwarded-for")
    .meta(about("The one header in which those proxies tell that address: X-Forwarded-For, or Forwarded (RFC 7239).")),
  DROVER_RATE_CALLER: count(0, 100_000_000)
    .prefault("600000")
    .meta(about("Requests per minute that one API key or user may send to one API process; 0 for any number.")),
  DROVER_RATE_SOURCE: count(0, 100_000_000)
    .prefault("60000")
    .meta(
      about(
        "Requests per minute without good credentials that one API process takes from one address, or one /64 of IPv6; 0 for any number.",
      ),
    ),
  DROVER_REQUESTS_CALLER: count(1).prefault("1000").meta(about("Requests of one API key or user that one API process works on at once.")),
  DROVER_REQUESTS: count(1)
    .prefault("1000")
    .meta(about("Requests that one API process works on at once, apart from those that wait; more are asked to come again.")),
  DROVER_OVERLOAD_DELAY: duration
    .prefault("2s")
    .meta(about("How late an API process may be with its work before it asks new requests to come again.")),

  GATEWAY_HOST: text.prefault("127.0.0.1").meta(about("Address that the host gateway listens on; 0.0.0.0 for all.")),
  GATEWAY_PORT: port.prefault("3443").meta(about("HTTPS port of the host gateway.")),
  GATEWAY_GRPC_PORT: port.prefault("3444").meta(about("gRPC port of the host gateway.")),
  GATEWAY_PUBLIC_HOSTS: words
    .prefault("localhost,127.0.0.1")
    .meta(about("Names and addresses under which hosts reach the gateway; the first is told to them.")),

  HEALTH_HOST: text.prefault("127.0.0.1").meta(about("Address that health and metrics are served on; 0.0.0.0 for all.")),
  HUB_HEALTH_PORT: portOrOff.prefault("3081").meta(about("Port of the hub worker's health and metrics; 0 is off.")),
  GATEWAY_HEALTH_PORT: portOrOff.prefault("3082").meta(about("Port of the gateway's health and metrics; 0 is off.")),
  HOST_HEALTH_PORT: portOrOff.prefault("0").meta(about("Port of the host worker's health and metrics; 0 is off.")),

  DROVER_STORE: storeLocation.optional().meta(about(`The default store: ${locationForms}.`)),
  DROVER_STORE_CREDENTIALS: storeCredentials
    .optional()
    .meta(secret("Credentials for the default store, as lines of key=value (access_key, secret_key, account_key, token, ...).")),
  DROVER_STORE_ACCESS_KEY: text.optional().meta(secret("Access key id for the default store, where that is S3.")),
  DROVER_STORE_SECRET_KEY: text.optional().meta(secret("Secret key for the default store.")),
  DROVER_STORE_SESSION_TOKEN: text.optional().meta(secret("Session token for the default store.")),
  DROVER_STORE_SILENCE: duration
    .prefault("30s")
    .meta(about("How long a store may be silent in the middle of a host's transfer before it counts as away and is asked again.")),
  DROVER_COLLECT_EVERY: duration
    .prefault("24h")
    .meta(about("How often stores are collected by schedule; 0s leaves it to `drover store gc`.")),
  DROVER_COLLECT_GRACE: duration
    .prefault("24h")
    .meta(
      about("How long an object that nothing needs is kept before a collection removes it; longer than any grant lives, save in tests."),
    ),
  DROVER_SCRUB_EVERY: duration
    .prefault("24h")
    .meta(about("How often a share of each store is read by schedule, and what is broken healed; 0s leaves it to `drover store scrub`.")),
  DROVER_SCRUB_SHARE: count(1, 100).prefault("4").meta(about("The share of a store that one scrub reads, in percent.")),
  DROVER_RETENTION_EVERY: duration
    .prefault("24h")
    .meta(about("How often retention rules are applied by schedule; 0s leaves it to `drover image retention apply`.")),

  DROVER_MASTER_KEY: masterKey.optional().meta(secret("The key that wraps all other keys, instead of the file in DROVER_HOME.")),
  DROVER_MASTER_KEY_NEXT: masterKey
    .optional()
    .meta(
      secret(
        "The key that `drover key rotate --master` changes to where DROVER_MASTER_KEY is set; processes that know it too need no stop.",
      ),
    ),
  ROOT_PASSWORD: text
    .min(8, "must have at least 8 characters")
    .optional()
    .meta(secret("Password of the root user, set again at each start.")),
  JWT_HMACS_SECRET: text
    .min(8, "must have at least 8 characters")
    .optional()
    .meta(secret("Sign tokens with this secret (HS256) instead of our own keys (ES256).")),
  JWT_DURATION: duration.prefault("15m").meta(about("Lifetime of access tokens.")),
  DROVER_LOGIN_LIMIT: duration.prefault("12h").meta(about("How long a login of the command line is renewed by itself while it is used.")),
  BRUTE_FORCE_MAX_LOGIN_ATTEMPTS: count(1).prefault("5").meta(about("Failed logins before a user has to wait.")),
  BRUTE_FORCE_LOCKOUT_DURATION: duration.prefault("5s").meta(about("How long a user then waits.")),
  BRUTE_FORCE_INCREMENTAL_WAIT: flag.prefault("true").meta(about("Whether that time grows with each failure.")),
  SECURITY_PASSWORD_MIN_PASSWORD_LENGTH: count(8, 40).prefault("12").meta(about("Shortest password of a new user.")),
  SECURITY_PASSWORD_MAX_PASSWORD_LENGTH: count(8, 40).prefault("40").meta(about("Longest password of a new user.")),
  SECURITY_PASSWORD_REQUIRE_LOWERCASE: flag.prefault("true").meta(about("Passwords need a lower-case letter.")),
  SECURITY_PASSWORD_REQUIRE_UPPERCASE: flag.prefault("true").meta(about("Passwords need an upper-case letter.")),
  SECURITY_PASSWORD_REQUIRE_NUMBER: flag.prefault("true").meta(about("Passwords need a digit.")),
  SECURITY_PASSWORD_REQUIRE_SPECIAL_CHAR: flag.prefault("true").meta(about("Passwords need a character that is neither letter nor digit.")),

  URL_WHITELIST: words
    .prefault("")
    .meta(
      about(
        "Hosts that catalog managers and `/ssh/execute` may always name, also on this computer; otherwise only whoever makes managers for all names private ones.",
      ),
    ),
  DROVER_SSH_KNOWN_HOSTS: text
    .optional()
    .meta(
      about("File of host keys that `POST /ssh/execute` believes, as OpenSSH keeps them; without it, that of the user who runs the API."),
    ),
  ENABLE_SSH_INSECURE_KEY: flag.prefault("false").meta(about("Whether a request to `/ssh/execute` may ask to believe any host key.")),
  DISABLE_URL_VALIDATION: flag.prefault("false").meta(about("Whether catalog managers may name any address at all.")),

  DROVER_WEBHOOK_ALLOW: networks
    .prefault("")
    .meta(about("Networks, such as 10.1.0.0/16, where webhooks may lead although they are not public; without it, the Internet only.")),
  DROVER_SMTP_URL: url("smtp", "smtps")
    .optional()
    .meta(secret("The server by which webhooks of kind email are sent, such as smtps://user:password@mail.example.com.")),
  DROVER_SMTP_FROM: text.optional().meta(about("The address that such e-mail comes from.")),

  HTTPS_PROXY: text
    .optional()
    .meta(secret("The HTTP proxy through which stores with https addresses are reached, such as http://proxy.example.com:3128.")),
  HTTP_PROXY: text.optional().meta(secret("The same for stores with http addresses.")),
  NO_PROXY: text
    .optional()
    .meta(
      about(
        "Names and addresses that are reached without a proxy, joined by commas: store.example.com, .example.com, 10.0.0.1; this computer always is.",
      ),
    ),

  DROVER_PARK_LIMIT: duration.prefault("7d").meta(about("How long a parked step waits for an operator before it aborts.")),
  DROVER_ORPHAN_LIMIT: duration
    .optional()
    .meta(about("How long an orphan (a machine of ours that no row knows) is left before it is removed; without it, for ever.")),
  DROVER_KEEP_EVENTS: duration.prefault("7d").meta(about("How long events can be followed from where a client left off.")),
  DROVER_KEEP_OPERATIONS: duration.prefault("90d").meta(about("How long ended operations stay, with their steps and output.")),
  DROVER_KEEP_AUDIT: duration.prefault("400d").meta(about("How long audit records stay.")),
  DROVER_DEFAULT_HOST: text.optional().meta(about("The host that host routes of the wire speak of when a request names none.")),
  DROVER_HOST_ROOTS: words.prefault("").meta(about("Folders on a host that requests may name paths in; empty means its VM home.")),
  DROVER_HOSTS: count(0, 50).prefault("2").meta(about("How many simulated hosts the embedded stack runs.")),
  DROVER_BOOT_LIMIT: duration
    .prefault("5m")
    .meta(about("How long a started machine may take to its address, and as long again until it answers, before its step parks.")),
  DROVER_PRLCTL: text.optional().meta(about("Path of prlctl on this host, instead of looking for it.")),
  DROVER_SIMULATE: flag.prefault("false").meta(about("Whether a host without Parallels Desktop simulates it.")),
  DROVER_SIMULATED_CPUS: count(1, 1024).prefault("16").meta(about("CPUs that a simulated host claims to have.")),
  DROVER_SIMULATED_MEMORY: megabytes.prefault("65536").meta(about("Memory in MB that a simulated host claims to have.")),
  DROVER_PEER_PORT: portOrOff
    .prefault("0")
    .meta(about("Port on which this host serves image chunks to other hosts of its network, by grant under mutual TLS; 0 is off.")),
  DROVER_PEER_HOST: text
    .optional()
    .meta(about("Address by which other hosts reach that port; without it, this computer's first private one.")),
  DROVER_PEER_NETWORK: text
    .prefault("local")
    .meta(about("Name of that network: hosts that name the same one take chunks from one another.")),
  SYSTEM_RESERVED_CPU: count(0, 1024).prefault("1").meta(about("Cores of a host held back from machines.")),
  SYSTEM_RESERVED_MEMORY: megabytes.prefault("2048").meta(about("Memory of a host held back from machines, in MB.")),
  SYSTEM_RESERVED_DISK: megabytes.prefault("20000").meta(about("Disk of a host held back from machines, in MB.")),
  DROVER_TRANSFERS: count(1, 16).prefault("2").meta(about("How many images a host pushes or pulls at once.")),
  DROVER_TRANSFER_REQUESTS: count(1, 32)
    .optional()
    .meta(
      about(
        "Requests of one transfer to its store at once; without it 4 packs of a push, or 8 where these bring more, and 8 reads of a pull.",
      ),
    ),
  DROVER_TRANSFER_BANDWIDTH: rate
    .optional()
    .meta(about("Bytes per second that all transfers of a host may take together, such as 500k, 20M or 1G; without it, all there is.")),
  DROVER_COMPRESSION: compression
    .prefault("2")
    .meta(about("How hard a push compresses, from 1 to 9; or adaptive: quick on a quick line to the store, dense on a slow one.")),
  CATALOG_CACHE_FOLDER: text.optional().meta(about("Folder of a host's image cache, instead of one in DROVER_HOME.")),
  CATALOG_CACHE_KEEP_FREE_DISK_SPACE: megabytes.prefault("5000").meta(about("Disk that the image cache leaves free, in MB.")),
  CATALOG_CACHE_MAX_SIZE: megabytes
    .optional()
    .meta(about("Most that the image cache may hold, in MB; without it, all but what is kept free.")),
});
export type Variables = z.infer<typeof Variables>;
export type VariableName = keyof Variables;

export const variableNames = Object.keys(Variables.shape).filter((name): name is VariableName => name in Variables.shape);

export function aboutVariable(name: VariableName): About {
  const meta = Variables.shape[name].meta();
  return { description: meta?.description ?? "", secret: meta?.["secret"] === true };
}
