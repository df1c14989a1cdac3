/** `drover store list|add|show|update`. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { text as textOf } from "node:stream/consumers";
import { z } from "zod";
import type { Store as StoreShape } from "../../domain/catalog/schema.ts";
import { pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { time } from "../output/format.ts";
import { facts, table } from "../output/table.ts";
import { usageFault } from "../problem.ts";
import { given } from "../values.ts";
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

const Options = z.object({ accessKey: z.string().optional() });

export async function addStore(context: Context, [name = "", location = ""]: readonly string[], raw: unknown): Promise<void> {
  const { accessKey } = given(Options, raw);
  const secretKey = accessKey === undefined ? undefined : await secretOf(context);
  const body = { name, location, ...(accessKey === undefined ? {} : { accessKey, secretKey }) };
  const made = await (await context.hub()).send("POST", "/stores", Store, { body });
  context.show(made, () => describe(made));
}

/** Never from the arguments, where every user of the computer could read it. */
async function secretOf({ env, streams }: Context): Promise<string> {
  const secret = env["DROVER_STORE_SECRET_KEY"] || (await typed(streams.in));
  if (secret === "")
    throw usageFault("The secret key is missing: give it on standard input or in DROVER_STORE_SECRET_KEY.", "drover store add");
  return secret;
}

const Renewal = z.object({ accessKey: z.string({ error: "is missing" }).min(1), secretKeyFile: z.string().optional() });

export async function updateStore(context: Context, [nameOrId = ""]: readonly string[], raw: unknown): Promise<void> {
  const { accessKey, secretKeyFile } = given(Renewal, raw);
  const secretKey = await newSecretOf(context, secretKeyFile);
  const changed = await (await context.hub()).send("PATCH", pathOf("stores", nameOrId), Store, { body: { accessKey, secretKey } });
  context.show(changed, () => describe(changed));
}

/** Not from the variables: those of this shell may be the very ones that the store refuses. */
async function newSecretOf({ streams, folder }: Context, file: string | undefined): Promise<string> {
  const secret = file === undefined ? await typed(streams.in) : (await readFile(resolve(folder, file), "utf8")).trim();
  if (secret !== "") return secret;
  throw usageFault("The secret key is missing: give it on standard input or with --secret-key-file.", "drover store update");
}

const typed = async (stream: Context["streams"]["in"]): Promise<string> => (stream.isTTY === true ? "" : (await textOf(stream)).trim());

const describe = ({ id, name, kind, location, isDefault, state, createdAt }: StoreShape): string =>
  facts([
    ["store", name],
    ["id", id],
    ["kind", kind],
    ["location", location],
    ["default", isDefault ? "yes" : "no"],
    ["state", state],
    ["added", time(createdAt)],
  ]);
