/**
 * What a store's secret holds, per provider, and how people write it down.
 *
 * The one idea: a secret is lines of `key=value`, in a file, on standard input or in a variable, and never an argument or a part of a location.
 */
import { z } from "zod";
import { ok, refuse, type Result } from "../errors.ts";
import type { StoreKind } from "./store-location.ts";

const word = z.string().min(1);
const S3Credentials = z.strictObject({ accessKeyId: word, secretAccessKey: word, sessionToken: word.optional() });
const AzureCredentials = z.union([z.strictObject({ accountKey: z.base64().min(1) }), z.strictObject({ sas: word })]);
const ArtifactoryCredentials = z.union([
  z.strictObject({ apiKey: word }),
  z.strictObject({ token: word }),
  z.strictObject({ username: word, password: word }),
]);
export type S3Credentials = z.infer<typeof S3Credentials>;
export type AzureCredentials = z.infer<typeof AzureCredentials>;
export type ArtifactoryCredentials = z.infer<typeof ArtifactoryCredentials>;

/** Without any, S3 and Azure use what the environment of the hub offers: its variables, profiles and identities. */
export const StoreCredentials = z
  .union([S3Credentials, AzureCredentials, ArtifactoryCredentials])
  .meta({ id: "StoreCredentials", description: "Of s3, azure (key or SAS) or artifactory (key, token, or name and password)." });
export type StoreCredentials = z.infer<typeof StoreCredentials>;

const shapes = { s3: S3Credentials, azure: AzureCredentials, artifactory: ArtifactoryCredentials } as const;
const forms = {
  s3: "access_key and secret_key, with session_token where there is one",
  azure: "account_key or sas",
  artifactory: "api_key, token, or username and password",
} as const;

/** Credentials of one provider are none of another; a folder takes none, and Artifactory has no other way in. */
export function credentialsFor(kind: "s3", given: unknown): Result<S3Credentials | null>;
export function credentialsFor(kind: "azure", given: unknown): Result<AzureCredentials | null>;
export function credentialsFor(kind: "artifactory", given: unknown): Result<ArtifactoryCredentials>;
export function credentialsFor(kind: StoreKind, given: unknown): Result<StoreCredentials | null>;
export function credentialsFor(kind: StoreKind, given: unknown): Result<StoreCredentials | null> {
  if (kind === "folder") return given === null ? ok(null) : invalid("A store that is a folder takes no credentials.");
  if (given === null && kind !== "artifactory") return ok(null);
  const parsed = shapes[kind].safeParse(given);
  return parsed.success ? ok(parsed.data) : invalid(`The credentials of a store of kind ${kind} are ${forms[kind]}.`);
}

/** How people name the parts. */
const names: Readonly<Record<string, string>> = {
  access_key: "accessKeyId",
  secret_key: "secretAccessKey",
  session_token: "sessionToken",
  account_key: "accountKey",
  sas: "sas",
  api_key: "apiKey",
  token: "token",
  username: "username",
  password: "password",
};

/** Reads lines of `key=value`; empty lines and those that begin with `#` count for nothing. No mistake repeats a value. */
export function parseCredentials(text: string): Result<StoreCredentials> {
  const found: Record<string, string> = {};
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "" || line.trimStart().startsWith("#")) continue;
    const [, key = "", value = ""] = /^\s*([a-z_]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    const name = names[key];
    if (name === undefined)
      return invalid(`Line ${at + 1} of the credentials is none of ${Object.keys(names).join(", ")}, followed by "=".`);
    if (value === "") return invalid(`Line ${at + 1} of the credentials gives ${key} no value.`);
    if (name in found) return invalid(`Line ${at + 1} of the credentials gives ${key} twice.`);
    found[name] = value;
  }
  const parsed = StoreCredentials.safeParse(found);
  if (parsed.success) return ok(parsed.data);
  return invalid(
    `The credentials are incomplete or mixed: they are ${Object.entries(forms)
      .map(([kind, form]) => `${form} (${kind})`)
      .join("; ")}.`,
  );
}

const invalid = (message: string): Result<never> => refuse({ code: "store_invalid", message });
