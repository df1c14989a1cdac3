/**
 * New locations for a tree whose chunks lie elsewhere now: the next generation, written whole before anybody is pointed to it.
 *
 * What moved is told by a function of the old place, so that one list of moves serves every tree that shares the chunks.
 */
import type { ObjectStore } from "../stores/object-store.ts";
import { storedLocations } from "./collect.ts";
import { locationsKey, sha256Hex } from "./format.ts";
import { encodeLocations, packList, writePlace } from "./locations.ts";
import { eachPlace } from "./pack-rows.ts";
import type { Moved } from "./pack-writer.ts";
import { readImage, type ImageRef } from "./stored.ts";

export interface Relocated extends ImageRef {
  readonly storedBytes: number;
  readonly moved: number;
  /** Rows that still lie in one of the packs that were to be left. */
  readonly left: number;
}

export interface RelocateAsk {
  readonly store: Pick<ObjectStore, "read" | "write">;
  readonly ref: ImageRef;
  readonly generation: number;
  /** Whether chunks of this pack are to move. */
  readonly leaves: (sha256: string) => boolean;
  /** Where a chunk of such a pack lies now, or `null`. */
  readonly moveOf: (old: { sha256: string; offset: number; hash: Buffer }) => Moved | null;
  readonly signal: AbortSignal;
}

/** `null` when nothing of the tree moved. */
export async function relocate({ store, ref, generation, leaves, moveOf, signal }: RelocateAsk): Promise<Relocated | null> {
  const image = await readImage(store, ref, signal);
  const places = Buffer.from(image.locations.places);
  const { packs, numberOf } = packList();
  let [moved, left] = [0, 0];
  eachPlace(image, ({ place, pack, hash, at }) => {
    const leaving = leaves(pack.sha256);
    const to = leaving ? moveOf({ sha256: pack.sha256, offset: place.offset, hash }) : null;
    if (to) moved++;
    else if (leaving) left++;
    writePlace(places, at, to ? { pack: numberOf(to.pack), offset: to.offset, length: to.length } : { ...place, pack: numberOf(pack) });
  });
  if (moved === 0) return null;
  const bytes = encodeLocations({ digest: ref.digest, generation, packs, places });
  await store.write(locationsKey(ref.digest, generation), bytes, sha256Hex(bytes), signal);
  return { digest: ref.digest, generation, moved, left, storedBytes: packs.reduce((sum, pack) => sum + pack.bytes, 0) };
}

/** A generation that no locations of this tree have yet, so that what an attempt that died left is never taken for this one's. */
export async function freeGeneration(
  store: Pick<ObjectStore, "list">,
  { digest, generation }: ImageRef,
  signal: AbortSignal,
): Promise<number> {
  const taken = (await storedLocations(store, signal, digest)).map((one) => one.generation);
  return Math.max(generation, ...taken) + 1;
}
