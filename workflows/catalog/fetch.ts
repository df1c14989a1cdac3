/**
 * Brings one image into one host's cache: the steps that pull and provision share.
 *
 * The one idea: nothing is visible under the image's digest before all of it is there and verified; then one rename shows it.
 */
import type { OnHost } from "../host-loss.ts";
import type { OperationFrame } from "../operation.ts";
import { onHost, undoOnHost } from "../proxies.ts";

/** An image as a host needs it. */
export interface Wanted {
  readonly digest: string;
  readonly generation: number;
  readonly kind: "pvm" | "macvm";
  readonly logicalBytes: number;
  readonly allocatedBytes: number;
  readonly image: string;
}
export interface Fetched {
  readonly digest: string;
  readonly fetchedBytes: number;
  readonly reusedBytes: number;
  readonly logicalBytes: number;
  readonly wasCached: boolean;
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

export async function fetchTo(on: OnHost, wanted: Wanted, operationId: string, { must, undo }: OperationFrame): Promise<Fetched> {
  const host = onHost<CacheActivities>(on.hostId, wanted.image);
  const room = await must("make room", () => host.makeRoom({ operationId, wanted }), { on });
  if (room.cached)
    return { digest: wanted.digest, fetchedBytes: 0, reusedBytes: wanted.logicalBytes, logicalBytes: wanted.logicalBytes, wasCached: true };

  const back = undoOnHost<CacheActivities>(on.hostId, wanted.image);
  undo("discard fetch", () => back.discardFetch({ operationId, digest: wanted.digest }), on.hostId);
  const fetched = await must("fetch", () => host.fetchImage({ operationId, step: "fetch", wanted }), { on });
  await must("verify", async () => ({ verified: await host.verifyImage({ operationId, step: "verify", wanted }) }), { on });
  await must("show in cache", async () => ({ shown: await host.revealImage({ operationId, wanted }) }), { on });
  return fetched;
}
