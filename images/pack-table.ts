/**
 * Which packs the locations of trees name, without their places: what a collection needs to know of most trees.
 *
 * Only the head of each locations object is read, and a pack costs some 75 bytes of memory however many trees name it.
 */
import { readAll, type ObjectStore } from "../stores/object-store.ts";
import { chunkIndex, type ChunkIndex } from "./chunk-index.ts";
import { corrupt, hashBytes, locationsKey, readHead, reservedBytes } from "./format.ts";
import { forEachLimited } from "./limited.ts";
import type { PackRef } from "./locations.ts";
import { twice, type ImageRef } from "./stored.ts";

const magic = "DRVRLOCS";
const packRowBytes = hashBytes + 4;
/** Common head, digest, generation, count of packs, count of places. */
const headBytes = 12 + reservedBytes + hashBytes + 8 + 4 + 4;
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
  const subject = `The locations ${ref.generation} of ${ref.digest}`;
  const read = async (offsetBytes: number, lengthBytes: number) => {
    const bytes = await readAll(await store.read(key, { offsetBytes, lengthBytes }, signal), key, lengthBytes);
    if (bytes.byteLength !== lengthBytes) throw corrupt(subject, "they are cut");
    return bytes;
  };
  return twice(async () => {
    const head = await read(0, headBytes);
    const body = readHead(head, magic, subject);
    if (body.toString("hex", 0, hashBytes) !== ref.digest) throw corrupt(subject, "they belong to another tree");
    if (body.readBigUInt64LE(hashBytes) !== BigInt(ref.generation)) throw corrupt(subject, "they have another generation");
    const count = body.readUInt32LE(hashBytes + 8);
    if (count === 0) return [];
    const table = await read(headBytes, count * packRowBytes);
    return Array.from({ length: count }, (_, n) => ({
      sha256: table.toString("hex", n * packRowBytes, n * packRowBytes + hashBytes),
      bytes: table.readUInt32LE(n * packRowBytes + hashBytes),
    }));
  });
}
