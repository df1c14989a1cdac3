/**
 * Which packs the locations of trees name, without their places: what a collection needs to know of most trees.
 *
 * Only the head of each locations object is read, and a pack costs some 75 bytes of memory however many trees name it.
 */
import { readAll, type ObjectStore } from "../stores/object-store.ts";
import { chunkIndex, type ChunkIndex } from "./chunk-index.ts";
import { corrupt, locationsKey } from "./format.ts";
import { forEachLimited } from "./limited.ts";
import { locationsName, packRowBytes, packsIn, packTableAt, readLocationsHead, type PackRef } from "./locations.ts";
import { twice, type ImageRef } from "./stored.ts";

/** Heads that are read at once: small reads, which a distant store answers late. */
const asksAtOnce = 8;

export interface PackSet {
  readonly packs: number;
  readonly bytes: number;
  /** The size that a pack should have, or `null` for one that nobody names. */
  sizeOf(sha256: string): number | null;
}

export interface NamedPacks extends PackSet {
  /** Answers whether the pack was new. */
  add(pack: PackRef): boolean;
}

export function packSet(): NamedPacks {
  const index: ChunkIndex = chunkIndex(0);
  const totals = { packs: 0, bytes: 0 };
  return {
    get packs() {
      return totals.packs;
    },
    get bytes() {
      return totals.bytes;
    },
    sizeOf: (sha256) => index.find(Buffer.from(sha256, "hex"))?.length ?? null,
    add: ({ sha256, bytes }) => {
      if (!index.add(Buffer.from(sha256, "hex"), { pack: 0, offset: 0, length: bytes })) return false;
      totals.packs++;
      totals.bytes += bytes;
      return true;
    },
  };
}

/** The packs that any of these locations name. `onBroken` decides about what cannot be read: it throws, or lets the others count. */
export async function namedPacks(
  store: Pick<ObjectStore, "read">,
  refs: Iterable<ImageRef>,
  { signal, onBroken, into = packSet() }: { signal: AbortSignal; onBroken: (ref: ImageRef, error: unknown) => void; into?: NamedPacks },
): Promise<NamedPacks> {
  await forEachLimited(refs, asksAtOnce, async (ref) => {
    signal.throwIfAborted();
    const packs = await readPackTable(store, ref, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      onBroken(ref, error);
      return [];
    });
    for (const pack of packs) into.add(pack);
  });
  return into;
}

/** The packs of one tree. */
export async function readPackTable(store: Pick<ObjectStore, "read">, ref: ImageRef, signal: AbortSignal): Promise<PackRef[]> {
  const key = locationsKey(ref.digest, ref.generation);
  const read = async (offsetBytes: number, lengthBytes: number) => {
    const bytes = await readAll(await store.read(key, { offsetBytes, lengthBytes }, signal), key, lengthBytes);
    if (bytes.byteLength !== lengthBytes) throw corrupt(locationsName(ref), "they are cut");
    return bytes;
  };
  return twice(async () => {
    const { packs } = readLocationsHead(await read(0, packTableAt), ref);
    return packs === 0 ? [] : packsIn(await read(packTableAt, packs * packRowBytes), packs);
  });
}
