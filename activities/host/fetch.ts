/**
 * Brings images into this host's cache: room, transfer, verification, one rename.
 *
 * The one idea: what lies in the incoming folder is worth keeping until the operation ends, so a retry resumes; only `reveal` gives it the
 * name under which it counts.
 */
import { readFile } from "node:fs/promises";
import { FaultError } from "../../domain/errors.ts";
import { pullTree, type PullProgress, type PullResult } from "../../images/pull.ts";
import type { Cache } from "../../images/cache.ts";
import { parseSeal } from "../../images/seal.ts";
import type { Seed } from "../../images/seeds.ts";
import { parseTree } from "../../images/tree.ts";
import { verifyFolder, type Mismatch } from "../../images/verify.ts";
import type { CacheActivities, Fetched, Wanted } from "../../workflows/catalog/fetch.ts";
import type { HostContext } from "./context.ts";
import { grantedStore, type GrantedStore } from "./granted-store.ts";
import type { HubLink } from "./hub-link.ts";
import { openReporter } from "./reporter.ts";
import { openSharedTransfers, type Transfer } from "./shared-transfer.ts";

export function cacheActivities(context: HostContext): CacheActivities {
  const { attempts, link, cache, pins } = context;
  const transfers = openSharedTransfers<PullResult, PullProgress>();
  const arrivals = openArrivals();

  return {
    makeRoom: ({ operationId, wanted }) =>
      attempts.run(`room/${operationId}`, async () => {
        if (await cache.has(wanted.digest)) {
          await cache.touch(wanted.digest);
          return { cached: true, evicted: [] };
        }
        const evicted = await cache.ensureRoom({ bytes: wanted.allocatedBytes, keepBytes: context.keepBytes, isPinned: pins.isPinned });
        if (evicted.length > 0) context.changed();
        return { cached: false, evicted };
      }),

    fetchImage: ({ operationId, step, wanted }) =>
      attempts.run(`fetch/${operationId}`, async ({ signal, note }) => {
        arrivals.want(wanted.digest, operationId);
        if (arrivals.isHere(wanted.digest) || (await cache.has(wanted.digest))) return fetchedOf(wanted, null);
        const { fence } = await link.grants({ operationId, begin: true });
        const reporter = openReporter(link, operationId, fence);
        const wait = () => {
          note({ waitsFor: "a transfer slot" });
          reporter.waits(step, "a transfer slot");
        };
        const onProgress = ({ doneBytes, totalBytes, fetchedBytes }: PullProgress) =>
          reporter.progress(step, { doneBytes, totalBytes, newBytes: fetchedBytes });
        const pulled = await transfers.join(wanted.digest, { operationId, signal, onProgress }, (transfer) =>
          context.transfers.run(
            transfer.signal,
            async () => {
              const seeds = await seedsOf(cache);
              const store = storeOf(link, transfer);
              const { digest, generation } = wanted;
              const ask = {
                digest,
                generation,
                store,
                targetPath: cache.incoming(digest).folder,
                seeds,
                signal: transfer.signal,
                onProgress: transfer.onProgress,
              };
              return pins.holdingAll(
                seeds.map((seed) => seed.digest),
                () => pullTree(ask),
              );
            },
            wait,
          ),
        );
        arrivals.arrived(wanted.digest);
        return fetchedOf(wanted, pulled);
      }),

    verifyImage: ({ operationId, wanted }) =>
      attempts.run(`verify/${operationId}`, async ({ signal }) => {
        arrivals.want(wanted.digest, operationId);
        if (await cache.has(wanted.digest)) return;
        const mismatches = await verifyIncoming(cache, wanted.digest, signal);
        const [first] = mismatches;
        if (!first) return;
        const message = `${wanted.image} did not arrive as it was pushed: ${first.path} (${first.problem}), ${mismatches.length} in all.`;
        throw new FaultError({ code: "content_corrupt", message, subject: wanted.image });
      }),

    revealImage: ({ operationId, wanted }) =>
      attempts.run(`reveal/${operationId}`, async () => {
        await cache.reveal(wanted.digest);
        arrivals.leave(wanted.digest, operationId);
        context.changed();
      }),

    discardFetch: ({ operationId, digest }) =>
      attempts.run(`discard/${operationId}`, async () => {
        const last = arrivals.leave(digest, operationId);
        if (last && !transfers.isRunning(digest)) await cache.discard(digest);
      }),
  };
}

/** Who still needs what lies in the incoming folder, and which of it is whole: a second operation neither fetches it again nor loses it to the first one's end. */
function openArrivals() {
  const wanting = new Map<string, Set<string>>();
  const here = new Set<string>();
  return {
    want: (digest: string, operationId: string) => void wanting.set(digest, (wanting.get(digest) ?? new Set()).add(operationId)),
    arrived: (digest: string) => void here.add(digest),
    isHere: (digest: string) => here.has(digest),
    /** True when nobody else wants it. */
    leave: (digest: string, operationId: string) => {
      const others = wanting.get(digest);
      others?.delete(operationId);
      if (others && others.size > 0) return false;
      wanting.delete(digest);
      here.delete(digest);
      return true;
    },
  };
}

/** The store under the grants of whichever operation still waits for the transfer. */
function storeOf(link: HubLink, { operationId, signal }: Transfer<PullProgress>): Pick<GrantedStore, "read"> {
  const stores = new Map<string, GrantedStore>();
  const current = () => {
    const id = operationId();
    const store = stores.get(id) ?? grantedStore(link, id, signal);
    stores.set(id, store);
    return store;
  };
  return { read: (key, range, within) => current().read(key, range, within) };
}

/** A pull looks for its files in these; images used long ago are unlikely to be kin and cost a read of their tree. */
const seedsTried = 4;

async function seedsOf(cache: Cache): Promise<Seed[]> {
  const cached = await cache.list();
  return cached.slice(0, seedsTried).map(({ digest }) => ({ digest, path: cache.paths(digest).folder }));
}

async function verifyIncoming(cache: Cache, digest: string, signal: AbortSignal): Promise<Mismatch[]> {
  const { bundle, tree, seal } = cache.incoming(digest);
  const parsed = parseTree(await readFile(tree), digest);
  return verifyFolder({ path: bundle, tree: parsed, full: false, seal: parseSeal(await readFile(seal, "utf8")), signal });
}

const fetchedOf = ({ digest, logicalBytes }: Wanted, pulled: PullResult | null): Fetched => ({
  digest,
  logicalBytes,
  fetchedBytes: pulled?.fetchedBytes ?? 0,
  reusedBytes: pulled?.reusedBytes ?? logicalBytes,
  wasCached: pulled === null,
});
