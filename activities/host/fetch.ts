/**
 * Brings images into this host's cache: room, transfer, verification, one rename.
 *
 * The one idea: what lies in the incoming folder is worth keeping until the operation ends, so a retry resumes; only `reveal` gives it the
 * name under which it counts.
 */
import { FaultError } from "../../domain/errors.ts";
import type { ImageCache } from "../../images/cache.ts";
import { pullTree, type PullProgress, type PullResult } from "../../images/pull.ts";
import type { CacheActivities, Fetched, Wanted } from "../../workflows/catalog/fetch.ts";
import type { HostContext } from "./context.ts";
import { grantedStore } from "./granted-store.ts";
import { openReporter } from "./reporter.ts";
import { openSharedTransfers } from "./shared-transfer.ts";

export function cacheActivities(context: HostContext): CacheActivities {
  const { attempts, link, cache, pins } = context;
  const transfers = openSharedTransfers<PullResult, PullProgress>();

  return {
    makeRoom: ({ operationId, wanted }) =>
      attempts.run(`room/${operationId}`, async ({ signal }) => {
        if (await cache.has(wanted.digest)) {
          await cache.touch(wanted.digest);
          return { cached: true, evicted: [] };
        }
        const evicted = await cache.ensureRoom({ digest: wanted.digest, bytes: wanted.allocatedBytes, signal });
        if (evicted.length > 0) context.changed();
        return { cached: false, evicted };
      }),

    fetchImage: ({ operationId, step, wanted }) =>
      attempts.run(`fetch/${operationId}`, async ({ signal, note }) => {
        if (await cache.has(wanted.digest)) return fetchedOf(wanted, null);
        const { fence } = await link.grants({ operationId, begin: true });
        const reporter = openReporter(link, operationId, fence);
        const wait = () => {
          note({ waitsFor: "a transfer slot" });
          reporter.waits(step, "a transfer slot");
        };
        const onProgress = ({ doneBytes, totalBytes, fetchedBytes }: PullProgress) => reporter.progress(step, { doneBytes, totalBytes, newBytes: fetchedBytes });
        const pulled = await transfers.join(wanted.digest, { operationId, signal, onProgress }, (transfer) =>
          context.transfers.run(
            transfer.signal,
            async () => {
              const seeds = await cache.seeds();
              const store = grantedStore(link, transfer.operationId, transfer.signal);
              const { digest, generation } = wanted;
              const ask = { digest, generation, store, targetPath: cache.incomingPath(digest), seeds, signal: transfer.signal, onProgress: transfer.onProgress };
              return pins.holdingAll(seedDigests(seeds), () => pullTree(ask));
            },
            wait,
          ),
        );
        return fetchedOf(wanted, pulled);
      }),

    verifyImage: ({ operationId, wanted }) =>
      attempts.run(`verify/${operationId}`, async ({ signal }) => {
        if (await cache.has(wanted.digest)) return;
        const mismatches = await cache.verifyIncoming(wanted.digest, signal);
        const [first] = mismatches;
        if (!first) return;
        const message = `${wanted.image} did not arrive as it was pushed: ${first.path} (${first.problem}), ${mismatches.length} in all.`;
        throw new FaultError({ code: "content_corrupt", message, subject: wanted.image });
      }),

    revealImage: ({ operationId, wanted }) =>
      attempts.run(`reveal/${operationId}`, async () => {
        await cache.reveal(wanted.digest);
        context.changed();
      }),

    discardFetch: ({ operationId, digest }) =>
      attempts.run(`discard/${operationId}`, async () => {
        if (!transfers.isRunning(digest)) await cache.discard(digest);
      }),
  };
}

const seedDigests = (seeds: Awaited<ReturnType<ImageCache["seeds"]>>): string[] => seeds.map(({ digest }) => digest);

const fetchedOf = ({ digest, logicalBytes }: Wanted, pulled: PullResult | null): Fetched => ({
  digest,
  logicalBytes,
  fetchedBytes: pulled?.fetchedBytes ?? 0,
  reusedBytes: pulled?.reusedBytes ?? logicalBytes,
  wasCached: pulled === null,
});
