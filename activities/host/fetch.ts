/**
 * Brings images into this host's cache: room, transfer, verification, one rename.
 *
 * The one idea: what lies in the incoming folder is worth keeping until the operation ends, so a retry resumes; only `reveal` gives it the
 * name under which it counts.
 */
import { readFile } from "node:fs/promises";
import { FaultError } from "../../domain/errors.ts";
import type { Cache } from "../../images/cache.ts";
import type { PullProgress, PullResult } from "../../images/pull.ts";
import { parseSeal } from "../../images/seal.ts";
import { parseTree } from "../../images/tree.ts";
import { verifyFolder, type Mismatch } from "../../images/verify.ts";
import type { Unpacked } from "../../domain/catalog/archives.ts";
import type { CacheActivities, Fetched, Wanted } from "../../workflows/catalog/fetch.ts";
import { unpackWanted } from "./archives.ts";
import { openArrivals, type Arrivals } from "./arrivals.ts";
import type { Attempt } from "./attempt.ts";
import type { HostContext } from "./context.ts";
import { openReporter } from "./reporter.ts";
import { isReady, type FoundDamage } from "./soundness.ts";
import { openSharedTransfers, type SharedTransfers } from "./shared-transfer.ts";
import { transferImage } from "./transfer.ts";

export function openFetching(context: HostContext): Fetching {
  return {
    context,
    transfers: openSharedTransfers(),
    unpackings: openSharedTransfers(),
    arrivals: openArrivals(),
  };
}

export function cacheActivities(fetching: Fetching): CacheActivities {
  const { context, transfers, unpackings, arrivals } = fetching;
  const { attempts, cache, pins, images } = context;
  const inTurn = <T>(operationId: string, act: string, digest: string, work: (attempt: Attempt) => Promise<T>) =>
    attempts.run(operationId, act, (attempt) => images.run(digest, attempt.signal, () => work(attempt)));

  return {
    makeRoom: ({ operationId, wanted }) =>
      attempts.run(operationId, "room", async (attempt) => {
        // First kept, then looked at: from here on nobody evicts it.
        await pins.keep(wanted.digest, operationId);
        const damaged = (found: FoundDamage) => tellDamage(context, operationId, found, attempt);
        if (await isReady(context, wanted, { ...attempt, damaged })) return { cached: true, evicted: [] };
        const evicted = await roomFor(context, wanted);
        if (evicted.length > 0) context.changed();
        return { cached: false, evicted };
      }),

    fetchImage: (ask) => attempts.run(ask.operationId, "fetch", (attempt) => fetchImage(fetching, ask, attempt)),

    verifyImage: ({ operationId, wanted }) =>
      inTurn(operationId, "verify", wanted.digest, async ({ signal }) => {
        arrivals.want(wanted.digest, operationId);
        if (await cache.has(wanted.digest)) return;
        const mismatches = await verifyIncoming(cache, wanted.digest, signal);
        const [first] = mismatches;
        if (!first) return;
        const message = `${wanted.image} did not arrive as it was pushed: ${first.path} (${first.problem}), ${mismatches.length} in all.`;
        throw new FaultError({ code: "content_corrupt", message, subject: wanted.image });
      }),

    revealImage: ({ operationId, wanted }) =>
      inTurn(operationId, "reveal", wanted.digest, async () => {
        await pins.keep(wanted.digest, operationId);
        await cache.reveal(wanted.digest);
        arrivals.leave(wanted.digest, operationId);
        const standIn = wanted.archive?.standIn;
        if (standIn !== undefined && arrivals.leave(standIn, operationId)) await cache.discard(standIn);
        context.changed();
      }),

    discardFetch: async ({ operationId, digest }) => {
      // What others still want is theirs, and whoever leaves does not wait until they have verified it.
      if (!arrivals.leave(digest, operationId)) return;
      await inTurn(operationId, "discard", digest, async () => {
        if (!arrivals.isWanted(digest) && !transfers.isRunning(digest) && !unpackings.isRunning(digest)) await cache.discard(digest);
      });
    },
  };
}

export interface Fetching {
  readonly context: HostContext;
  readonly transfers: SharedTransfers<PullResult, PullProgress>;
  /** Archives on their way, by the names they have until their digest is known. */
  readonly unpackings: SharedTransfers<Unpacked, PullProgress>;
  readonly arrivals: Arrivals;
}

const roomFor = ({ cache, keepBytes, cacheBytes, pins }: HostContext, { allocatedBytes }: Wanted): Promise<string[]> =>
  cache.ensureRoom({ bytes: allocatedBytes, keepBytes, maximumBytes: cacheBytes, uses: pins });

async function tellDamage({ link }: HostContext, operationId: string, found: FoundDamage, { signal }: Attempt): Promise<void> {
  const { fence } = await link.grants({ operationId, begin: true }, signal);
  openReporter(link, operationId, fence).damaged("make room", found);
}

async function fetchImage(
  { context, transfers, unpackings, arrivals }: Fetching,
  ask: Parameters<CacheActivities["fetchImage"]>[0],
  attempt: Attempt,
): Promise<Fetched> {
  const { operationId, step, wanted } = ask;
  const { signal, note } = attempt;
  const { archive } = wanted;
  arrivals.want(archive?.standIn ?? wanted.digest, operationId);
  const isHere = async () => (await context.cache.has(wanted.digest)) || arrivals.isHere(wanted.digest);
  if (await isHere()) return fetchedOf(wanted, null);

  const { fence } = await context.link.grants({ operationId, begin: true }, signal);
  const reporter = openReporter(context.link, operationId, fence);
  const wait = () => {
    note({ waitsFor: "a transfer slot" });
    reporter.waits(step, "a transfer slot");
  };
  const onProgress = ({ doneBytes, totalBytes, fetchedBytes }: PullProgress) =>
    reporter.progress(step, { doneBytes, totalBytes, newBytes: fetchedBytes });
  let began = false;
  if (archive) {
    const unpacked = await unpackings.join(archive.standIn, { operationId, signal, onProgress }, (transfer) => {
      began = true;
      return context.transfers.run(transfer.signal, () => unpackWanted(context, { ...wanted, archive }, transfer), wait);
    });
    arrivals.want(unpacked.digest, operationId);
    const { digest, logicalBytes } = unpacked;
    return { digest, logicalBytes, fetchedBytes: began ? archive.packBytes : 0, reusedBytes: 0, wasCached: false, unpacked };
  }
  // While the hub answered, another operation may have brought it.
  if (await isHere()) return fetchedOf(wanted, null);
  const pulled = await transfers.join(wanted.digest, { operationId, signal, onProgress }, (transfer) => {
    began = true;
    const bring = async () => ((await context.cache.has(wanted.digest)) ? nothingMoved(wanted) : transferImage(context, wanted, transfer));
    return context.transfers.run(transfer.signal, () => context.images.run(wanted.digest, transfer.signal, bring), wait);
  });
  arrivals.arrived(wanted.digest);
  // What travels once is counted once: for the operation that began the transfer.
  return began ? fetchedOf(wanted, pulled) : fetchedOf(wanted, { ...pulled, fetchedBytes: 0 });
}

async function verifyIncoming(cache: Cache, digest: string, signal: AbortSignal): Promise<Mismatch[]> {
  const { bundle, tree, seal } = cache.incoming(digest);
  const parsed = parseTree(await readFile(tree), digest);
  return verifyFolder({ path: bundle, tree: parsed, full: false, seal: parseSeal(await readFile(seal, "utf8")), signal });
}

/** It was shown while its transfer waited for its turn. */
const nothingMoved = ({ logicalBytes }: Wanted): PullResult => ({ files: 0, logicalBytes, fetchedBytes: 0, reusedBytes: logicalBytes });

const fetchedOf = ({ digest, logicalBytes }: Wanted, pulled: PullResult | null): Fetched => ({
  digest,
  logicalBytes,
  fetchedBytes: pulled?.fetchedBytes ?? 0,
  reusedBytes: pulled?.reusedBytes ?? logicalBytes,
  wasCached: pulled === null,
});
