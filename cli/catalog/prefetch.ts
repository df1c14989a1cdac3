/** `drover image prefetch`, `drover prefetch list|add|remove`: images on hosts before somebody waits for them. */
import { z } from "zod";
import { NewPrefetch, NewPrefetchPolicy, PrefetchPolicy as PolicyShape } from "../../domain/catalog/caching.ts";
import { Nothing, pathOf, type Client } from "../client.ts";
import type { Context } from "../context.ts";
import { hostIdOf } from "../names.ts";
import { seeThrough, waitingOf } from "../operations/start.ts";
import { ago, list } from "../output/format.ts";
import { table } from "../output/table.ts";
import { usageFault } from "../problem.ts";
import { given, imageReference, seconds, wholeNumber } from "../values.ts";
import { fromJson, Operation } from "../wire.ts";

const PrefetchPolicy = fromJson(PolicyShape);
const Selecting = { host: z.array(z.string()).default([]), hosts: z.array(z.string()).default([]), all: z.boolean().default(false) };

async function selection(client: Client, { host, hosts: labels, all }: z.infer<z.ZodObject<typeof Selecting>>, usage: string) {
  if ([host.length > 0, labels.length > 0, all].filter(Boolean).length !== 1)
    throw usageFault("Say which hosts: --host <host>, --hosts <label> or --all, one of them.", usage);
  return { hostIds: await Promise.all(host.map((name) => hostIdOf(client, name))), labels, all };
}

const Options = z.object({ ...Selecting, atOnce: wholeNumber.optional() });

export async function prefetch(context: Context, [image = ""]: readonly string[], raw: unknown): Promise<number> {
  const { atOnce, ...selecting } = given(Options, raw);
  const waiting = waitingOf(raw);
  const client = await context.hub();
  const selected = await selection(client, selecting, "drover image prefetch");
  const wanted = { image: imageReference(image), ...selected, ...(atOnce === undefined ? {} : { atOnce }) };
  const body = given(NewPrefetch, waiting.onFault === undefined ? wanted : { ...wanted, onFault: waiting.onFault });
  const operation = await client.send("POST", "/prefetches", Operation, { body });
  return seeThrough(context, client, { operation, waiting });
}

export async function listPolicies(context: Context): Promise<void> {
  const found = await (await context.hub()).list("/prefetch-policies", PrefetchPolicy);
  const imageOf = ({ image: { catalogId, version, architecture } }: PolicyShape) =>
    [catalogId, version, architecture].filter((word) => word !== undefined).join("/");
  const hostsOf = ({ all, labels, hostIds }: PolicyShape) => (all ? "all" : labels.length > 0 ? list(labels) : `${hostIds.length} named`);
  const words = () =>
    table(
      found,
      [
        { title: "POLICY", of: ({ name }) => name },
        { title: "IMAGE", of: imageOf },
        { title: "HOSTS", of: hostsOf },
        { title: "WHEN", of: ({ on, everySeconds }) => (on === "publish" ? "published" : `every ${everySeconds} s`) },
        { title: "STARTED", of: ({ lastStartedAt }) => ago(lastStartedAt) },
        { title: "OPERATION", of: ({ lastOperationId }) => lastOperationId },
        { title: "PROBLEM", of: ({ problem }) => problem },
      ],
      "No image is brought to hosts by a policy.",
    );
  context.show(found, words);
}

const Adding = z.object({ ...Selecting, atOnce: wholeNumber.optional(), onPublish: z.boolean().default(false), every: seconds.optional() });

export async function addPolicy(context: Context, [name = "", image = ""]: readonly string[], raw: unknown): Promise<void> {
  const { atOnce, onPublish, every, ...selecting } = given(Adding, raw);
  if (onPublish === (every !== undefined)) throw usageFault("Say when: --on-publish or --every <duration>.", "drover prefetch add");
  const client = await context.hub();
  const selected = await selection(client, selecting, "drover prefetch add");
  const when = every === undefined ? { on: "publish" } : { on: "schedule", everySeconds: every };
  const body = given(NewPrefetchPolicy, {
    name,
    image: imageReference(image),
    ...selected,
    ...when,
    ...(atOnce === undefined ? {} : { atOnce }),
  });
  const made = await client.send("POST", "/prefetch-policies", PrefetchPolicy, { body });
  context.show(
    made,
    () => `${made.name} brings ${image} to hosts ${every === undefined ? "whenever it is published" : `every ${every} s`}.`,
  );
}

export async function removePolicy(context: Context, [name = ""]: readonly string[]): Promise<void> {
  await (await context.hub()).send("DELETE", pathOf("prefetch-policies", name), Nothing);
  context.show({ removed: name }, () => `${name} is no policy any more; what it brought stays.`);
}
