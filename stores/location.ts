/**
 * Where a store is, as one line of text, and how it is opened.
 *
 * A location never carries a secret, so it may stand in a setting, a row or a log; credentials come apart, as an object that is kept sealed.
 */
import { isAbsolute } from "node:path";
import { z } from "zod";
import { ok, refuse, type Result } from "../domain/errors.ts";
import { folderStore } from "./folder.ts";
import type { ObjectStore } from "./object-store.ts";
import { s3Store, type S3Options } from "./s3.ts";

export const StoreLocation = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("folder"), path: z.string().refine(isAbsolute, "must be absolute") }),
  z.object({
    kind: z.literal("s3"),
    // Amazon's rule for names; servers of our own refuse shorter ones too.
    bucket: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "must be 3 to 63 lower-case letters, digits, dots and dashes"),
    prefix: z
      .string()
      .regex(/^([A-Za-z0-9._-]+\/)*$/, "must be plain segments")
      .default(""),
    region: z.string().min(1).default("us-east-1"),
    endpoint: z
      .url({ protocol: /^https?$/ })
      .refine((text) => !URL.parse(text)?.username, "must carry no credentials")
      .optional(),
  }),
]);
export type StoreLocation = z.infer<typeof StoreLocation>;

/** What a store's secret holds. Without one, S3 uses what the environment of the process offers. */
export const StoreCredentials = z.object({
  accessKeyId: z.string().min(1),
  secretAccessKey: z.string().min(1),
  sessionToken: z.string().min(1).optional(),
});
export type StoreCredentials = z.infer<typeof StoreCredentials>;

/** Reads `folder:/path` or `s3://bucket/prefix?endpoint=...&region=...`. */
export function parseStoreLocation(text: string): Result<StoreLocation> {
  const folder = /^folder:(.+)$/.exec(text);
  if (folder) return checked({ kind: "folder", path: folder[1] });
  const url = URL.parse(text);
  if (url?.protocol !== "s3:")
    return refuse({ code: "store_invalid", message: 'A store is written "folder:/path" or "s3://bucket/prefix?endpoint=...&region=...".' });
  if (url.username || url.password)
    return refuse({ code: "store_invalid", message: "A store's location carries no credentials: give them apart." });
  const known = ["endpoint", "region"];
  const unknown = [...url.searchParams.keys()].find((name) => !known.includes(name));
  if (unknown !== undefined)
    return refuse({
      code: "store_invalid",
      message: `A store's location has no parameter "${unknown}"; known are ${known.join(" and ")}.`,
    });
  const inner = url.pathname.split("/").filter(Boolean);
  const prefix = inner.map((part) => `${part}/`).join("");
  return checked({ kind: "s3", bucket: url.hostname, prefix, ...Object.fromEntries(url.searchParams) });
}

function checked(input: unknown): Result<StoreLocation> {
  const parsed = StoreLocation.safeParse(input);
  if (parsed.success) return ok(parsed.data);
  const [issue] = parsed.error.issues;
  return refuse({ code: "store_invalid", message: `The store's ${issue?.path.join(".") || "location"} ${issue?.message ?? "is wrong"}.` });
}

/** The same location as one line of text, as `parseStoreLocation` reads it. */
export function formatStoreLocation(location: StoreLocation): string {
  if (location.kind === "folder") return `folder:${location.path}`;
  const { bucket, prefix, region, endpoint } = location;
  const query = new URLSearchParams({ region, ...(endpoint === undefined ? {} : { endpoint }) });
  return `s3://${bucket}/${prefix}?${query}`;
}

export function openStore(location: StoreLocation, credentials: StoreCredentials | null): ObjectStore {
  if (location.kind === "folder") return folderStore(location.path);
  const { bucket, prefix, region, endpoint } = location;
  const options: S3Options = { bucket, prefix, region, ...(endpoint === undefined ? {} : { endpoint }) };
  return s3Store(credentials === null ? options : { ...options, credentials: withoutAbsent(credentials) });
}

function withoutAbsent({ sessionToken, ...keys }: StoreCredentials) {
  return sessionToken === undefined ? keys : { ...keys, sessionToken };
}
