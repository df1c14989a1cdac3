/**
 * `drover store list|show|add|edit|test|default|remove`.
 *
 * The one idea: what is secret comes from a file, standard input or a variable, and is read into the vocabulary before anything is sent.
 */
import { z } from "zod";
import type { Store as StoreShape } from "../../domain/catalog/schema.ts";
import { parseCredentials, type StoreCredentials } from "../../domain/catalog/store-credentials.ts";
import { Nothing, pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { bytes, time } from "../output/format.ts";
import { facts, table } from "../output/table.ts";
import { usageFault } from "../problem.ts";
import { secretText } from "../secret-text.ts";
import { byteSize, given, wholeNumber } from "../values.ts";
import { Store } from "../wire.ts";

export async function listStores(context: Context): Promise<void> {
  const found = await (await context.hub()).list("/stores", Store);
  const words = () =>
    table(
      found,
      [
        { title: "STORE", of: ({ name }) => name },
        { title: "KIND", of: ({ kind }) => kind },
        { title: "STATE", of: ({ state }) => state },
        { title: "DEFAULT", of: ({ isDefault }) => (isDefault ? "yes" : "") },
        { title: "ACCESS", of: ({ readOnly }) => (readOnly ? "read-only" : "") },
        { title: "LOCATION", of: ({ location }) => location },
      ],
      "No stores.",
    );
  context.show(found, words);
}

export async function showStore(context: Context, [nameOrId = ""]: readonly string[]): Promise<void> {
  const found = await (await context.hub()).get(pathOf("stores", nameOrId), Store);
  context.show(found, () => describe(found));
}

const Secret = { credentialsFile: z.string().min(1).optional(), credentialsEnv: z.string().min(1).optional() };
const Addition = z.object({ ...Secret, readOnly: z.boolean().default(false), default: z.boolean().default(false) });

export async function addStore(context: Context, [name = "", location = ""]: readonly string[], raw: unknown): Promise<void> {
  const { default: asDefault, readOnly, ...secret } = given(Addition, raw);
  if (readOnly && asDefault)
    throw usageFault("--read-only and --default exclude each other: pushes go to the default store.", "drover store add");
  const credentials = (await credentialsOf(context, secret)) ?? null;
  const hub = await context.hub();
  const made = await hub.send("POST", "/stores", Store, { body: { name, location, credentials, readOnly } });
  const shown = asDefault ? await hub.send("POST", pathOf("stores", made.id, "default"), Store) : made;
  context.show(shown, () => describe(shown));
}

/** `none` lifts a limit. */
const limited = <S extends z.ZodType<number, string>>(schema: S) =>
  z.union([z.literal("none").transform(() => null), schema], { error: (issue) => limitWords(schema, issue.input) }).optional();
const limitWords = (schema: z.ZodType, input: unknown): string =>
  `${schema.safeParse(input).error?.issues[0]?.message ?? "is wrong"}, or none`;
const Change = z.object({
  ...Secret,
  name: z.string().min(1).optional(),
  location: z.string().min(1).optional(),
  maxBandwidth: limited(byteSize),
  maxRequests: limited(wholeNumber),
  readOnly: z.literal(true).optional(),
  readWrite: z.literal(true).optional(),
});

export async function editStore(context: Context, [nameOrId = ""]: readonly string[], raw: unknown): Promise<void> {
  const { name, location, maxBandwidth, maxRequests, readOnly, readWrite, ...secret } = given(Change, raw);
  if (readOnly && readWrite) throw usageFault("--read-only and --read-write exclude each other.", "drover store edit");
  const access = readOnly ?? (readWrite && false);
  const limits = { maxBytesPerSecond: maxBandwidth, maxRequests };
  const body = { name, location, ...limits, readOnly: access, credentials: await credentialsOf(context, secret) };
  if (Object.values(body).every((value) => value === undefined))
    throw usageFault("There is nothing to change: give a name, a location, credentials or a limit.", "drover store edit");
  const changed = await (await context.hub()).send("PATCH", pathOf("stores", nameOrId), Store, { body });
  context.show(changed, () => describe(changed));
}

interface SecretOptions {
  readonly credentialsFile?: string | undefined;
  readonly credentialsEnv?: string | undefined;
}

async function credentialsOf(context: Context, secret: SecretOptions): Promise<StoreCredentials | undefined> {
  const source = { file: secret.credentialsFile, env: secret.credentialsEnv };
  const text = await secretText(context, source, { what: "credentials", usage: "drover store" });
  if (text === undefined) return undefined;
  const parsed = parseCredentials(text);
  if (parsed.ok) return parsed.value;
  throw usageFault(parsed.fault.message, "drover store");
}

export async function defaultStore(context: Context, [nameOrId = ""]: readonly string[]): Promise<void> {
  const found = await (await context.hub()).send("POST", pathOf("stores", nameOrId, "default"), Store);
  context.show(found, () => describe(found));
}

export async function removeStore(context: Context, [nameOrId = ""]: readonly string[]): Promise<void> {
  await (await context.hub()).send("DELETE", pathOf("stores", nameOrId), Nothing);
  context.show({ removed: nameOrId }, () => `Forgot the store ${nameOrId}; what lies in it stays.`);
}

const describe = ({
  id,
  name,
  kind,
  location,
  isDefault,
  state,
  readOnly,
  maxBytesPerSecond,
  maxRequests,
  createdAt,
}: StoreShape): string =>
  facts([
    ["store", name],
    ["id", id],
    ["kind", kind],
    ["location", location],
    ["default", isDefault ? "yes" : "no"],
    ["state", state],
    ["access", readOnly ? "read-only" : "read and write"],
    ["bandwidth", maxBytesPerSecond === null ? "all there is" : `${bytes(maxBytesPerSecond)} per second at most`],
    ["requests", maxRequests === null ? "as many as transfers like" : `${maxRequests} at once at most`],
    ["added", time(createdAt)],
  ]);
