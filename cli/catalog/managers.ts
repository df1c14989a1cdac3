/**
 * `drover catalog-manager list|show|add|edit|remove|images|pull|push`: catalogs of other hubs and services, reached through this hub.
 *
 * The one idea: a manager is meant by its id, or by its name where only one that the caller sees is called so.
 */
import { z } from "zod";
import {
  CatalogManagerChange,
  NewCatalogManager,
  RemoteImage,
  ToldCatalogManager,
  type ToldCatalogManager as Manager,
} from "../../domain/catalog/managers.ts";
import { NewImageVersion } from "../../domain/catalog/schema.ts";
import { NewMachine } from "../../domain/machines/schema.ts";
import { Nothing, pathOf, type Client } from "../client.ts";
import type { Context } from "../context.ts";
import { hostIdOf } from "../names.ts";
import { seeThrough, waitingOf } from "../operations/start.ts";
import { bytes, list, time } from "../output/format.ts";
import { facts, table } from "../output/table.ts";
import { usageFault } from "../problem.ts";
import { secretText } from "../secret-text.ts";
import { byteSize, given, imageReference, wholeNumber } from "../values.ts";
import { fromJson, Operation } from "../wire.ts";
import { architectureIn, versionIn, VersionOptions } from "./push.ts";

const CatalogManager = fromJson(ToldCatalogManager);
const usage = "drover catalog-manager";
const base = "/catalog-managers";

/** One that is not in the list is left for the hub to refuse. */
async function idOf(client: Client, word: string): Promise<string> {
  const all = await client.list(base, CatalogManager);
  const named = all.filter(({ id, name }) => id === word || name === word);
  if (named.length > 1)
    throw usageFault(`Several catalog managers are called ${word}: name one by its id (${list(named.map(({ id }) => id))}).`, usage);
  return named[0]?.id ?? word;
}

export async function listManagers(context: Context): Promise<void> {
  const found = await (await context.hub()).list(base, CatalogManager);
  const words = () =>
    table(
      found,
      [
        { title: "NAME", of: ({ name }) => name },
        { title: "URL", of: ({ url }) => url },
        { title: "ACTIVE", of: ({ active }) => (active ? "yes" : "no") },
        { title: "FOR", of: ({ global }) => (global ? "all" : "its owner") },
        { title: "ID", of: ({ id }) => id },
      ],
      "No catalog managers.",
    );
  context.show(found, words);
}

export async function showManager(context: Context, [manager = ""]: readonly string[]): Promise<void> {
  const client = await context.hub();
  const found = await client.get(pathOf("catalog-managers", await idOf(client, manager)), CatalogManager);
  context.show(found, () => describe(found));
}

const Words = z.object({
  name: z.string().optional(),
  url: z.string().optional(),
  global: z.boolean().optional(),
  own: z.literal(true).optional(),
  active: z.boolean().optional(),
  claim: z.array(z.string()).optional(),
  credentialsFile: z.string().min(1).optional(),
  credentialsEnv: z.string().min(1).optional(),
});

export async function addManager(context: Context, [name = "", url = ""]: readonly string[], raw: unknown): Promise<void> {
  const options = given(Words, raw);
  const credentials = await credentialsOf(context, options);
  if (!credentials) throw usageFault("Say where its credentials are with --credentials-file or --credentials-env.", `${usage} add`);
  const body = given(NewCatalogManager, { name, url, global: options.global, requiredClaims: options.claim, credentials });
  const made = await (await context.hub()).send("POST", base, CatalogManager, { body });
  context.show(made, () => describe(made));
}

export async function editManager(context: Context, [manager = ""]: readonly string[], raw: unknown): Promise<void> {
  const { name, url, global, own, claim, ...options } = given(Words, raw);
  if (global && own) throw usageFault("--global and --own exclude each other.", `${usage} edit`);
  // Only what somebody typed: `--no-active` and `--active` leave it alone where neither stands.
  const active = options.active === undefined ? {} : { active: options.active };
  const forAll = global ? { global: true } : own ? { global: false } : {};
  const credentials = await credentialsOf(context, options);
  const body = given(CatalogManagerChange, { name, url, ...active, ...forAll, requiredClaims: claim, credentials });
  if (Object.values(body).every((value) => value === undefined)) throw usageFault("Say what is to be different.", `${usage} edit`);
  const client = await context.hub();
  const changed = await client.send("PATCH", pathOf("catalog-managers", await idOf(client, manager)), CatalogManager, { body });
  context.show(changed, () => describe(changed));
}

export async function removeManager(context: Context, [manager = ""]: readonly string[]): Promise<void> {
  const client = await context.hub();
  await client.send("DELETE", pathOf("catalog-managers", await idOf(client, manager)), Nothing);
  context.show({ removed: manager }, () => `Forgot the catalog manager ${manager}; what came through it stays.`);
}

export async function listImages(context: Context, [manager = ""]: readonly string[]): Promise<void> {
  const client = await context.hub();
  const found = await client.list(`${pathOf("catalog-managers", await idOf(client, manager))}/images`, RemoteImage);
  const words = () =>
    table(
      found,
      [
        { title: "IMAGE", of: ({ catalogId, version, architecture }) => `${catalogId}/${version}/${architecture}` },
        { title: "TAGS", of: ({ tags }) => list(tags) },
        { title: "SIZE", of: (image) => bytes(image.bytes), right: true },
        { title: "STATE", of: ({ state }) => state },
        { title: "CHANGED", of: ({ updatedAt }) => updatedAt },
      ],
      "No images there that you may see.",
    );
  context.show(found, words);
}

const Pulling = z.object({
  machine: z.string().optional(),
  host: z.string().optional(),
  cpus: wholeNumber.optional(),
  memory: byteSize.optional(),
  start: z.boolean(),
});

export async function pullThrough(context: Context, [manager = "", image = ""]: readonly string[], raw: unknown): Promise<number> {
  const { machine: name, host, cpus: vcpus, memory: memoryBytes, start } = given(Pulling, raw);
  const waiting = waitingOf(raw);
  if (name === undefined) throw usageFault("Name the machine that is to be made with --machine.", `${usage} pull`);
  const named = imageReference(image);
  const reference = { ...named, architecture: architectureIn(named.architecture) };
  const body = given(NewMachine, { name, image: reference, vcpus, memoryBytes, start, onFault: waiting.onFault });
  const client = await context.hub();
  const hostId = host === undefined ? undefined : await hostIdOf(client, host);
  const path = `${pathOf("catalog-managers", await idOf(client, manager))}/machines`;
  return seeThrough(context, client, { operation: await client.send("POST", path, Operation, { body: { ...body, hostId } }), waiting });
}

const Pushing = VersionOptions.extend({
  connectionFile: z.string().min(1).optional(),
  connectionEnv: z.string().min(1).optional(),
});

export async function pushThrough(
  context: Context,
  [manager = "", path = "", catalogId = ""]: readonly string[],
  raw: unknown,
): Promise<number> {
  const { host, connectionFile, connectionEnv, ...words } = given(Pushing, raw);
  const waiting = waitingOf(raw);
  if (host === undefined) throw usageFault("Name the host that has the bundle with --host.", `${usage} push`);
  const connection = await secretText(
    context,
    { file: connectionFile, env: connectionEnv },
    { what: "connection", usage: `${usage} push` },
  );
  if (connection === undefined)
    throw usageFault("Say with --connection-file or --connection-env which store both sides reach.", `${usage} push`);
  const version = given(NewImageVersion, { path, catalogId, ...versionIn(words), onFault: waiting.onFault });
  const client = await context.hub();
  const body = { ...version, hostId: await hostIdOf(client, host), connection: connection.trim() };
  const to = `${pathOf("catalog-managers", await idOf(client, manager))}/images`;
  return seeThrough(context, client, { operation: await client.send("POST", to, Operation, { body }), waiting });
}

/** Lines of `api_key=...`, or of `username=...` and `password=...`. */
async function credentialsOf(context: Context, { credentialsFile: file, credentialsEnv: env }: z.infer<typeof Words>) {
  const text = await secretText(context, { file, env }, { what: "credentials", usage });
  if (text === undefined) return undefined;
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const words = new Map(lines.map((line) => [line.slice(0, line.indexOf("=")).trim(), line.slice(line.indexOf("=") + 1).trim()]));
  const [apiKey, username, password] = ["api_key", "username", "password"].map((name) => words.get(name));
  if (apiKey) return { apiKey };
  if (username && password) return { username, password };
  throw usageFault("The credentials must be a line api_key=<key>, or the lines username=<name> and password=<password>.", usage);
}

const describe = ({ id, name, url, active, global, requiredClaims, authentication, createdAt, updatedAt }: Manager): string =>
  facts([
    ["manager", name],
    ["id", id],
    ["url", url],
    ["active", active ? "yes" : "no"],
    ["for", global ? "everybody of the project who holds its claims" : "its owner"],
    ["claims", requiredClaims.length === 0 ? null : list(requiredClaims)],
    ["logs in by", authentication === "api_key" ? "API key" : authentication],
    ["added", time(createdAt)],
    ["changed", time(updatedAt)],
  ]);
