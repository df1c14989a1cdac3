/**
 * `drover import devops`: the database of a Parallels DevOps service, sent to the hub part by part.
 *
 * The one idea: the file is opened and trimmed here, so the hub never sees its key, nor the machines and jobs that are most of it; images go a few at a
 * time, since each is asked for at its store.
 */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { z } from "zod";
import { trimmed } from "../../domain/moving/devops.ts";
import { MovingReport, type Moved } from "../../domain/moving/report.ts";
import type { Client } from "../client.ts";
import type { Context } from "../context.ts";
import { table } from "../output/table.ts";
import { usageFault } from "../problem.ts";
import { given } from "../values.ts";
import { keyIn, unlocked, unlockedSecret } from "./unlock.ts";

const Options = z.object({
  dryRun: z.boolean().default(false),
  key: z.string().optional(),
  host: z.string().optional(),
  withoutImages: z.boolean().default(false),
});
type Options = z.infer<typeof Options>;
const usage = "drover import devops";

/** An import asks a store twice: ten distant ones are done within the time that an answer may take. */
const imagesAtOnce = 10;

export async function importDevops(context: Context, [file = ""]: readonly string[], raw: unknown): Promise<void> {
  const options = given(Options, raw);
  const { document, left } = trimmed(await documentIn(context, file, options));
  const client = await context.hub();
  const { catalog_manifests: images, ...rest } = document;
  const reports = [await send(client, rest, options)];
  const listed = options.withoutImages || !Array.isArray(images) ? [] : (images as unknown[]);
  for (let at = 0; at < listed.length; at += imagesAtOnce) {
    context.remark(`Images ${at + 1} to ${Math.min(at + imagesAtOnce, listed.length)} of ${listed.length}`);
    reports.push(await send(client, { catalog_manifests: listed.slice(at, at + imagesAtOnce) }, options));
  }
  const whole: MovingReport = {
    dryRun: options.dryRun,
    items: [...left, ...reports.flatMap(({ items }) => items)],
    unknown: summed(reports.flatMap(({ unknown }) => unknown)),
  };
  context.show(whole, () => inWords(whole));
}

const send = (client: Client, database: Record<string, unknown>, { dryRun, host }: Options): Promise<MovingReport> =>
  client.send("POST", "/import/devops", MovingReport, { body: { database, dryRun, host: host ?? null } });

async function documentIn({ folder }: Context, file: string, { key: keyFile }: Options): Promise<Record<string, unknown>> {
  const bytes = await bytesOf(resolve(folder, file));
  const key = keyFile === undefined ? null : keyIn((await bytesOf(resolve(folder, keyFile))).toString("utf8"));
  if (keyFile !== undefined && !key) throw usageFault(`${keyFile} is no RSA private key, neither as PEM nor as base64 of it.`, usage);
  const plain = jsonIn(bytes);
  const opened = plain ?? (key && jsonIn(unlocked(bytes, key)));
  if (!opened) {
    if (key) throw usageFault(`${file} does not open with the key of ${keyFile}.`, usage);
    throw usageFault(`${file} is no JSON document. If it was encrypted, name its key with --key.`, usage);
  }
  return key ? withSecrets(opened, (secret) => unlockedSecret(secret, key)) : opened;
}

const bytesOf = (path: string): Promise<Buffer> =>
  readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw usageFault(`The file ${path} cannot be read: ${error.code ?? error.message}.`, usage);
  });

function jsonIn(bytes: Buffer | null): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse((bytes ?? Buffer.alloc(0)).toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}

/** Catalog managers are the records that keep credentials which it can read again. */
function withSecrets(document: Record<string, unknown>, open: (secret: string) => string): Record<string, unknown> {
  const managers = document["catalog_managers"];
  if (!Array.isArray(managers)) return document;
  const opened = (value: unknown) => (typeof value === "string" ? open(value) : value);
  const each = (manager: unknown) =>
    typeof manager === "object" && manager !== null
      ? Object.fromEntries(
          Object.entries(manager).map(([name, value]) => [name, /^(username|password|api_key)$/.test(name) ? opened(value) : value]),
        )
      : manager;
  return { ...document, catalog_managers: managers.map(each) };
}

function summed(fields: MovingReport["unknown"]): MovingReport["unknown"] {
  const byName = Map.groupBy(fields, ({ field }) => field);
  return [...byName].map(([field, counts]) => ({ field, count: counts.reduce((sum, { count }) => sum + count, 0) }));
}

function inWords({ dryRun, items, unknown }: MovingReport): string {
  const words: Record<Moved["what"], string> = {
    added: dryRun ? "would be added" : "added",
    kept: "is here",
    todo: "needs you",
    left: "left there",
  };
  const rows = table(
    items,
    [
      { title: "WHAT", of: ({ kind }) => kind },
      { title: "NAME", of: ({ name }) => name },
      { title: "", of: ({ what }) => words[what] },
      { title: "NOTE", of: ({ note }) => note },
    ],
    "",
  );
  const counts = (Object.keys(words) as Moved["what"][]).flatMap((what) => {
    const count = items.filter((item) => item.what === what).length;
    return count === 0 ? [] : [`${count} ${words[what]}`];
  });
  const strange = unknown.map(({ field, count }) => `Unknown and not taken over: ${field} (${count})`);
  const end = dryRun ? "Nothing was changed." : "Asking again adds what is missing, and nothing twice.";
  return [...(rows === "" ? [] : [rows, ""]), ...strange, `${counts.join(", ") || "There is nothing in it"}. ${end}`].join("\n");
}
