/**
 * Changes what this host keeps in its cache: what nobody uses goes, what somebody pins stays.
 *
 * The one idea: whether an image is used is decided in the moment it would go, by the same pins that operations take; so a prune beside any number of them removes
 * only what none of them needs.
 */
import type { CachedImage } from "../../images/cache.ts";
import type { CacheChange, CacheKeepingActivities, Pruned } from "../../workflows/catalog/cache.ts";
import type { HostContext } from "./context.ts";

export function cacheKeepingActivities(context: HostContext): CacheKeepingActivities {
  const { attempts, cache, changed } = context;
  return {
    pruneCache: ({ operationId, change }) =>
      attempts.run(operationId, "prune", async ({ signal }) => {
        const pruned = await prune(context, change, signal);
        if (pruned.removed.length > 0) changed();
        return pruned;
      }),
    pinImages: ({ operationId, change: { act, digests } }) =>
      attempts.run(operationId, act, async () => {
        for (const digest of digests) await cache[act](digest);
        changed();
      }),
  };
}

type Prune = Extract<CacheChange, { act: "prune" }>;

async function prune({ cache, pins }: HostContext, { digests, unusedForMs, dryRun }: Prune, signal: AbortSignal): Promise<Pruned> {
  const wanted = (await cache.list()).filter(({ digest }) => digests === null || digests.includes(digest)).reverse();
  const removed: Pruned["removed"][number][] = [];
  const kept: Pruned["kept"][number][] = [];
  for (const image of wanted) {
    signal.throwIfAborted();
    const { digest, bytes } = image;
    const why = reasonToStay(image, unusedForMs) ?? (pins.isUsed(digest) ? "used" : null);
    if (why === null && (dryRun || (await pins.unlessUsed(digest, () => cache.remove(digest))))) removed.push({ digest, bytes });
    else kept.push({ digest, bytes, why: why ?? "used" });
  }
  return { removed, removedBytes: removed.reduce((sum, { bytes }) => sum + bytes, 0), kept, dryRun };
}

function reasonToStay({ pinned, lastUsedAt }: CachedImage, unusedForMs: number): "pinned" | "recent" | null {
  if (pinned) return "pinned";
  return Date.now() - lastUsedAt.getTime() < unusedForMs ? "recent" : null;
}
