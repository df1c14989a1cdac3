/**
 * `drover webhook add|list|show|edit|remove`.
 *
 * The one idea: what is secret, the secret itself and addresses that whoever knows them may write to, comes from files and not from the command line.
 */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { text } from "node:stream/consumers";
import { z } from "zod";
import { webhookKinds } from "../../domain/webhooks/rules.ts";
import type { MadeWebhook as MadeShape, Webhook as WebhookShape } from "../../domain/webhooks/schema.ts";
import { Nothing, pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { list, time } from "../output/format.ts";
import { facts, table } from "../output/table.ts";
import { usageFault } from "../problem.ts";
import { given, seconds } from "../values.ts";
import { MadeWebhook, Webhook } from "../wire.ts";

const Target = z.object({
  url: z.string().optional(),
  urlFile: z.string().min(1).optional(),
  to: z.array(z.string()).optional(),
  event: z.array(z.string()).optional(),
  secretFile: z.string().min(1).optional(),
});
const Adding = Target.extend({ kind: z.enum(webhookKinds, `must be one of ${webhookKinds.join(", ")}`).default("http") });

export async function addWebhook(context: Context, [name = ""]: readonly string[], raw: unknown): Promise<void> {
  const { kind, ...target } = given(Adding, raw);
  if (kind === "slack" && target.url !== undefined)
    throw usageFault("Whoever knows the address of a Slack webhook can write there: give it by --url-file.", "drover webhook add");
  const { secret, ...wanted } = await targetOf(context, target);
  const body = { name, kind, ...wanted, ...(secret === undefined ? {} : { secret }) };
  const made = await (await context.hub()).send("POST", "/webhooks", MadeWebhook, { body });
  context.show(made, () => withSecret(made));
}

export async function listWebhooks(context: Context): Promise<void> {
  const found = await (await context.hub()).list("/webhooks", Webhook);
  const words = () =>
    table(
      found,
      [
        { title: "WEBHOOK", of: ({ name }) => name },
        { title: "KIND", of: ({ kind }) => kind },
        { title: "WHERE", of: ({ address }) => address },
        { title: "EVENTS", of: ({ events }) => list(events) },
        { title: "SENDS", of: ({ enabled }) => (enabled ? "yes" : "no") },
        { title: "PROBLEM", of: ({ problem }) => problem },
      ],
      "No events are sent anywhere.",
    );
  context.show(found, words);
}

export async function showWebhook(context: Context, [name = ""]: readonly string[]): Promise<void> {
  const found = await (await context.hub()).get(pathOf("webhooks", name), Webhook);
  context.show(found, () => describe(found));
}

const Editing = Target.extend({
  name: z.string().optional(),
  rotateSecret: z.boolean().default(false),
  keepSecret: seconds.optional(),
  enable: z.boolean().default(false),
  disable: z.boolean().default(false),
});

export async function editWebhook(context: Context, [webhook = ""]: readonly string[], raw: unknown): Promise<void> {
  const { name, rotateSecret, keepSecret, enable, disable, ...target } = given(Editing, raw);
  if (enable && disable) throw usageFault("Say either --enable or --disable.", "drover webhook edit");
  const { secret, ...wanted } = await targetOf(context, target);
  const kept = keepSecret === undefined ? {} : { keepSeconds: keepSecret };
  const rotated = rotateSecret || secret !== undefined ? { rotateSecret: { ...(secret === undefined ? {} : { secret }), ...kept } } : {};
  const state = enable || disable ? { enabled: enable } : {};
  const body = { ...(name === undefined ? {} : { name }), ...wanted, ...rotated, ...state };
  if (Object.keys(body).length === 0) throw usageFault("Say what changes.", "drover webhook edit");
  const changed = await (await context.hub()).send("PATCH", pathOf("webhooks", webhook), MadeWebhook, { body });
  context.show(changed, () => withSecret(changed));
}

export async function removeWebhook(context: Context, [name = ""]: readonly string[]): Promise<void> {
  await (await context.hub()).send("DELETE", pathOf("webhooks", name), Nothing);
  context.show({ removed: name }, () => `${name} is sent nothing any more; what was sent to it is forgotten.`);
}

async function targetOf(context: Context, { url, urlFile, to, event, secretFile }: z.infer<typeof Target>) {
  if (url !== undefined && urlFile !== undefined) throw usageFault("--url and --url-file exclude each other.", "drover webhook");
  const address = urlFile === undefined ? url : await lineOf(context, urlFile);
  const secret = secretFile === undefined ? undefined : await lineOf(context, secretFile);
  return {
    ...(address === undefined ? {} : { url: address }),
    ...(to === undefined ? {} : { to }),
    ...(event === undefined ? {} : { events: event }),
    ...(secret === undefined ? {} : { secret }),
  };
}

async function lineOf({ folder, streams }: Context, file: string): Promise<string> {
  if (file === "-") return (await text(streams.in)).trim();
  const path = resolve(folder, file);
  const read = await readFile(path, "utf8").catch(() => {
    throw usageFault(`The file ${path} cannot be read.`, "drover webhook");
  });
  return read.trim();
}

const withSecret = (made: MadeShape): string =>
  made.secret === null ? describe(made) : `${describe(made)}\n\nsecret  ${made.secret}\n\nThe secret is not shown again.`;

const describe = ({ name, kind, address, events, enabled, problem, previousSecretUntil, createdBy, updatedAt }: WebhookShape): string =>
  facts([
    ["webhook", name],
    ["kind", kind],
    ["where", address],
    ["events", list(events)],
    ["sends", enabled ? "yes" : "no"],
    ["problem", problem],
    ["in the name of", createdBy],
    ["older secret until", time(previousSecretUntil)],
    ["changed", time(updatedAt)],
  ]);
