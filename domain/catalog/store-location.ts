/**
 * Where a store is, as one line of text.
 *
 * The one idea: a location never carries a secret, so it may stand in a setting, a row or a log; credentials come apart. Each line has one canonical
 * form, so the same place is recognised.
 */
import { z } from "zod";
import { ok, refuse, type Result } from "../errors.ts";

const prefix = z
  .string()
  .regex(/^([A-Za-z0-9._-]+\/)*$/, "must be plain segments")
  .refine((text) => !text.split("/").some((part) => part === "." || part === ".."), "must be plain segments")
  .default("");
const endpoint = z
  .url({ protocol: /^https?$/, error: "must be an address such as https://storage.example.com" })
  .refine((text) => !URL.parse(text)?.username && !URL.parse(text)?.password, "must carry no credentials")
  .refine((text) => !URL.parse(text)?.search, "must have no parameters of its own");
const authority = z.string().startsWith("/", "must be the absolute path of a file on the hub");

const FolderLocation = z.object({ kind: z.literal("folder"), path: z.string().startsWith("/", "must be absolute") });
const S3Location = z.object({
  kind: z.literal("s3"),
  // Amazon's rule for names; servers of our own refuse shorter ones too.
  bucket: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "must be 3 to 63 lower-case letters, digits, dots and dashes"),
  prefix,
  region: z.string().min(1).default("us-east-1"),
  /** Another server than Amazon's. */
  endpoint: endpoint.optional(),
  /** Whether the bucket stands in the path or in the host name; in the path where an endpoint is given. */
  style: z.enum(["path", "host"], "must be path or host").optional(),
  profile: z.string().min(1).optional(),
  sse: z.enum(["s3", "kms"], "must be s3 or kms").optional(),
  kms_key: z.string().min(1).optional(),
  ca: authority.optional(),
});
const AzureLocation = z.object({
  kind: z.literal("azure"),
  account: z.string().regex(/^[a-z0-9]{3,24}$/, "must be 3 to 24 lower-case letters and digits"),
  container: z.string().regex(/^(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/, "must be 3 to 63 lower-case letters, digits and single dashes"),
  prefix,
  endpoint: endpoint.optional(),
  /** The client id of a managed identity, where the computer has several. */
  identity: z.string().min(1).optional(),
  ca: authority.optional(),
});
const ArtifactoryLocation = z.object({
  kind: z.literal("artifactory"),
  repo: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "must be up to 64 letters, digits, dots, dashes and underscores"),
  prefix,
  endpoint,
  ca: authority.optional(),
});

export const StoreLocation = z
  .discriminatedUnion("kind", [FolderLocation, S3Location, AzureLocation, ArtifactoryLocation])
  .refine((location) => location.kind !== "s3" || location.kms_key === undefined || location.sse === "kms", {
    path: ["kms_key"],
    message: "must come with sse=kms",
  });
export type StoreLocation = z.infer<typeof StoreLocation>;

export const storeKinds = ["folder", "s3", "azure", "artifactory"] as const;
export type StoreKind = (typeof storeKinds)[number];

export const locationForms =
  "folder:/path, s3://bucket/prefix?region=...&endpoint=..., azure://account/container/prefix or artifactory://repo/prefix?endpoint=...";

/** In the order in which they are written. */
const parameters = {
  s3: ["region", "endpoint", "style", "profile", "sse", "kms_key", "ca"],
  azure: ["endpoint", "identity", "ca"],
  artifactory: ["endpoint", "ca"],
} as const;

export function parseStoreLocation(text: string): Result<StoreLocation> {
  const folder = /^folder:(.+)$/.exec(text);
  if (folder) return checked({ kind: "folder", path: folder[1] });
  const url = URL.parse(text);
  const kind = url?.protocol.slice(0, -1);
  if (!url || (kind !== "s3" && kind !== "azure" && kind !== "artifactory")) return invalid(`A store is written as ${locationForms}.`);
  if (url.username || url.password) return invalid("A store's location carries no credentials: give them apart.");
  if (url.port !== "" || url.hash !== "")
    return invalid("A store's location has no port and no fragment: a server's address is its endpoint.");
  const given = parametersOf(kind, url.searchParams);
  if (!given.ok) return given;
  const [first = "", ...rest] = url.pathname.split("/").filter(Boolean);
  const place = {
    s3: () => ({ bucket: url.hostname, prefix: prefixOf([first, ...rest]) }),
    azure: () => ({ account: url.hostname, container: first, prefix: prefixOf(rest) }),
    artifactory: () => ({ repo: url.hostname, prefix: prefixOf([first, ...rest]) }),
  };
  return checked({ kind, ...place[kind](), ...given.value });
}

const prefixOf = (segments: readonly string[]): string =>
  segments
    .filter(Boolean)
    .map((part) => `${part}/`)
    .join("");

function parametersOf(kind: keyof typeof parameters, search: URLSearchParams): Result<Record<string, string>> {
  const known: readonly string[] = parameters[kind];
  const names = [...search.keys()];
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined)
    return invalid(`The location of a store of kind ${kind} has no parameter "${unknown}"; known are ${known.join(", ")}.`);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) return invalid(`The store's location gives ${twice} twice.`);
  return ok(Object.fromEntries(search));
}

const invalid = (message: string): Result<never> => refuse({ code: "store_invalid", message });

function checked(input: unknown): Result<StoreLocation> {
  const parsed = StoreLocation.safeParse(input);
  if (parsed.success) return ok(parsed.data);
  const [issue] = parsed.error.issues;
  const missing = issue?.code === "invalid_type" ? "is missing" : undefined;
  return invalid(`The store's ${issue?.path.join(".") || "location"} ${missing ?? issue?.message ?? "is wrong"}.`);
}

/** The same location as one line of text, as `parseStoreLocation` reads it. */
export function formatStoreLocation(location: StoreLocation): string {
  if (location.kind === "folder") return `folder:${location.path}`;
  const given: Readonly<Record<string, unknown>> = location;
  const query = new URLSearchParams(
    parameters[location.kind].flatMap((name) => (typeof given[name] === "string" ? [[name, given[name]]] : [])),
  );
  return `${placeOf(location)}${query.size === 0 ? "" : `?${query}`}`;
}

/** What the objects lie in, without how it is reached: two locations of one place hold the same objects. */
export function placeOf(location: StoreLocation): string {
  if (location.kind === "folder") return `folder:${location.path}`;
  if (location.kind === "s3") return `s3://${location.bucket}/${location.prefix}`;
  if (location.kind === "azure") return `azure://${location.account}/${location.container}/${location.prefix}`;
  return `artifactory://${location.repo}/${location.prefix}`;
}
