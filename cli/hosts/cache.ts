/** `drover cache list|prune|pin|unpin`: what hosts keep ready to clone, what may go and what stays. */
import { z } from "zod";
import { CacheEntry as CacheEntryShape } from "../../domain/catalog/caching.ts";
import { pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { seeThrough, waitingOf } from "../operations/start.ts";
import { ago, bytes, list } from "../output/format.ts";
import { facts, table } from "../output/table.ts";
import { usageFault } from "../problem.ts";
import { given, imageReference, seconds } from "../values.ts";
import { fromJson, Operation, type OperationDetail } from "../wire.ts";

const CacheEntry = fromJson(CacheEntryShape);
const OfHost = z.object({ host: z.string().optional() });

export async function listCache(context: Context, _: readonly string[], raw: unknown): Promise<void> {
  const { host } = given(OfHost, raw);
  const found = await (await context.hub()).list("/cache", CacheEntry, host === undefined ? {} : { host });
  const stays = ({ pinned, used }: CacheEntryShape) => list([...(pinned ? ["pinned"] : []), ...(used ? ["used"] : [])]);
  const words = () =>
    table(
      found,
      [
        { title: "HOST", of: (entry) => entry.host },
        { title: "IMAGE", of: ({ images }) => (images.length === 0 ? "(no version any more)" : list(images)) },
        { title: "DIGEST", of: ({ digest }) => digest.slice(0, 12) },
        { title: "SIZE", of: (entry) => bytes(entry.bytes), right: true },
        { title: "USED", of: ({ lastUsedAt }) => ago(lastUsedAt) },
        { title: "STAYS", of: stays },
      ],
      "No host has an image in its cache.",
    );
  context.show(found, words);
}

const Pruning = z.object({ host: z.string().optional(), unusedFor: seconds.optional(), dryRun: z.boolean().default(false) });
const Outcome = z.object({
  removed: z.array(z.object({ digest: z.string(), bytes: z.number() })),
  removedBytes: z.number(),
  kept: z.array(z.object({ digest: z.string(), bytes: z.number(), why: z.string() })),
  dryRun: z.boolean(),
});

export async function pruneCache(context: Context, images: readonly string[], raw: unknown): Promise<number> {
  const { host, unusedFor, dryRun } = given(Pruning, raw);
  const waiting = waitingOf(raw);
  const wanted = images.map(imageReference);
  const body = {
    dryRun,
    ...(wanted.length === 0 ? {} : { images: wanted }),
    ...(unusedFor === undefined ? {} : { unusedForSeconds: unusedFor }),
    ...(waiting.onFault === undefined ? {} : { onFault: waiting.onFault }),
  };
  const client = await context.hub();
  const operation = await client.send("POST", `${pathOf("hosts", named(host, "prune"))}/cache/prune`, Operation, { body });
  return seeThrough(context, client, { operation, waiting, words: pruned });
}

function pruned({ result }: OperationDetail): string {
  const told = Outcome.safeParse(result);
  if (!told.success) return "The cache was pruned.";
  const { removed, removedBytes, kept, dryRun } = told.data;
  const rows = removed.map(({ digest, bytes: size }) => [digest.slice(0, 12), bytes(size)] as const);
  const verb = dryRun ? "would go" : "went";
  const head = `${removed.length} image${removed.length === 1 ? "" : "s"} ${verb}, ${bytes(removedBytes)}; ${kept.length} stay${kept.length === 1 ? "s" : ""}.`;
  const stays = kept.map(({ digest, why }) => [digest.slice(0, 12), why] as const);
  return [head, ...(rows.length + stays.length === 0 ? [] : [facts([...rows, ...stays])])].join("\n");
}

const Pinning = z.object({ host: z.string().optional() });

const pinning =
  (act: "pin" | "unpin") =>
  async (context: Context, [image = ""]: readonly string[], raw: unknown): Promise<number> => {
    const { host } = given(Pinning, raw);
    const waiting = waitingOf(raw);
    const client = await context.hub();
    const body = { ...imageReference(image), ...(waiting.onFault === undefined ? {} : { onFault: waiting.onFault }) };
    const operation = await client.send("POST", `${pathOf("hosts", named(host, act))}/cache/${act}`, Operation, { body });
    const words = () => (act === "pin" ? `${image} stays in the cache of ${host}.` : `${image} may be evicted from the cache of ${host}.`);
    return seeThrough(context, client, { operation, waiting, words });
  };

export const pinImage = pinning("pin");
export const unpinImage = pinning("unpin");

function named(host: string | undefined, verb: string): string {
  if (host !== undefined) return host;
  throw usageFault("Name the host with --host.", `drover cache ${verb}`);
}
