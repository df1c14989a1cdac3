/**
 * Brings one image into one host's cache: the steps that pull and provision share.
 *
 * The one idea: nothing is visible under the image's digest before all of it is there and verified; then one rename shows it.
 */
import type { Unpacked } from "../../domain/catalog/archives.ts";
import type { OnHost } from "../host-loss.ts";
import type { OperationFrame } from "../operation.ts";
import { onHost, quick, undoOnHost } from "../proxies.ts";

/** An image as a host needs it. */
export interface Wanted {
  readonly digest: string;
  readonly generation: number;
  readonly kind: "pvm" | "macvm";
  readonly logicalBytes: number;
  readonly allocatedBytes: number;
  readonly image: string;
  /** Present while its bytes lie in an archive of the Parallels DevOps service. */
  readonly archive?: WantedArchive;
}
export interface WantedArchive {
  readonly packKey: string;
  readonly packBytes: number;
  readonly md5: string | null;
  /** Of all files, as its manifest tells; exact where a push measured it. */
  readonly logicalBytes: number;
  readonly exact: boolean;
  /** What the archive is called while it is unpacked, since its digest is known only then. */
  readonly standIn: string;
  /** Whether it was unpacked before, so that the digest is known. */
  readonly measured: boolean;
}
export interface Fetched {
  readonly digest: string;
  readonly fetchedBytes: number;
  readonly reusedBytes: number;
  readonly logicalBytes: number;
  readonly wasCached: boolean;
  /** What an archive turned out to be. */
  readonly unpacked?: Unpacked;
}

/** What a fetch tells the hub. Implemented in `activities/hub/archives.ts`. */
export interface UnpackedActivities {
  /** From now on the version, and a machine that is made from it, has the digest of its tree. */
  recordUnpacked(input: { operationId: string; archive: WantedArchive; unpacked: Unpacked }): Promise<void>;
}

/** What a fetch asks of a host. Implemented in `activities/host/cache.ts`. */
export interface CacheActivities {
  /** Room for the image: evicts unused cached ones, never a pinned one. Says when the image is cached already. */
  makeRoom(input: { operationId: string; wanted: Wanted }): Promise<{ cached: boolean; evicted: string[] }>;
  /** Fetches what is missing. Several operations that want one image share one transfer. */
  fetchImage(input: { operationId: string; step: string; wanted: Wanted }): Promise<Fetched>;
  verifyImage(input: { operationId: string; step: string; wanted: Wanted }): Promise<void>;
  revealImage(input: { operationId: string; wanted: Wanted }): Promise<void>;
  /** Drops what an ended fetch left, unless another operation works on the same image. */
  discardFetch(input: { operationId: string; digest: string }): Promise<void>;
}

const hub = quick<UnpackedActivities>();

/** Of an archive the digest is known only once it is here: the answer tells it. */
export async function fetchTo(on: OnHost, wanted: Wanted, operationId: string, { must, undo }: OperationFrame): Promise<Fetched> {
  const host = onHost<CacheActivities>(on.hostId, wanted.image);
  const room = await must("make room", () => host.makeRoom({ operationId, wanted }), { on });
  if (room.cached)
    return { digest: wanted.digest, fetchedBytes: 0, reusedBytes: wanted.logicalBytes, logicalBytes: wanted.logicalBytes, wasCached: true };

  const back = undoOnHost<CacheActivities>(on.hostId, wanted.image);
  let here = wanted;
  const discard = async () => {
    await back.discardFetch({ operationId, digest: here.digest });
    if (wanted.archive && wanted.archive.standIn !== here.digest) await back.discardFetch({ operationId, digest: wanted.archive.standIn });
  };
  undo("discard fetch", discard, on.hostId);
  const fetched = await must("fetch", () => host.fetchImage({ operationId, step: "fetch", wanted }), { on });
  here = { ...wanted, digest: fetched.digest };
  await must("verify", async () => ({ verified: await host.verifyImage({ operationId, step: "verify", wanted: here }) }), { on });
  await must("show in cache", async () => ({ shown: await host.revealImage({ operationId, wanted: here }) }), { on });
  const { archive } = wanted;
  const { unpacked } = fetched;
  if (archive && unpacked)
    await must("record digest", async () => ({ told: await hub.recordUnpacked({ operationId, archive, unpacked }) }));
  return fetched;
}
