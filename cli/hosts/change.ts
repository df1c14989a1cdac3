/** `drover host enable|disable|label|taint|delete`. */
import { z } from "zod";
import { Nothing, pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { list } from "../output/format.ts";
import { usageFault } from "../problem.ts";
import { given } from "../values.ts";
import { Host } from "../wire.ts";

async function patch(context: Context, host: string, body: object) {
  return (await context.hub()).send("PATCH", pathOf("hosts", host), Host, { body });
}

export async function enableHost(context: Context, [host = ""]: readonly string[]): Promise<void> {
  const changed = await patch(context, host, { enabled: true });
  context.show(changed, () => `${changed.name} takes work.`);
}

export async function disableHost(context: Context, [host = ""]: readonly string[]): Promise<void> {
  const changed = await patch(context, host, { enabled: false });
  context.show(changed, () => `${changed.name} takes no new work; what runs there goes on.`);
}

const Labelling = z.object({ remove: z.array(z.string()).default([]) });

export async function labelHost(context: Context, [host = "", ...added]: readonly string[], options: unknown): Promise<void> {
  const { remove } = given(Labelling, options);
  if (added.length + remove.length === 0) throw usageFault("Name a label.", "drover host label");
  const { labels } = await (await context.hub()).get(pathOf("hosts", host), Host);
  const changed = await patch(context, host, { labels: changedWords(labels, added, remove) });
  context.show(changed, () => `${changed.name} has ${changed.labels.length === 0 ? "no labels" : `the labels ${list(changed.labels)}`}.`);
}

export async function taintHost(context: Context, [host = "", ...added]: readonly string[], options: unknown): Promise<void> {
  const { remove } = given(Labelling, options);
  if (added.length + remove.length === 0) throw usageFault("Name a taint.", "drover host taint");
  const { taints } = await (await context.hub()).get(pathOf("hosts", host), Host);
  const changed = await patch(context, host, { taints: changedWords(taints, added, remove) });
  const bears = changed.taints.length === 0 ? "every machine" : `only machines that bear ${list(changed.taints)}, or name it`;
  context.show(changed, () => `${changed.name} takes ${bears}.`);
}

const changedWords = (words: readonly string[], added: readonly string[], removed: readonly string[]): string[] =>
  [...new Set([...words, ...added])].filter((word) => !removed.includes(word));

export async function deleteHost(context: Context, [host = ""]: readonly string[]): Promise<void> {
  await (await context.hub()).send("DELETE", pathOf("hosts", host), Nothing);
  context.show({ deleted: host }, () => `${host} is no host any more.`);
}
