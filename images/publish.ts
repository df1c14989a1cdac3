/**
 * The last part of a push: the tree of what was read, and where each of its chunks lies.
 *
 * Both are written only when every pack is in the store, the locations last: until then nobody can mistake what is there for an image.
 */
import type { ObjectStore } from "../stores/object-store.ts";
import type { ChunkIndex } from "./chunk-index.ts";
import { chunkLength, locationsKey, sha256Hex, treeKey } from "./format.ts";
import { encodeLocations, placeBytes, placeOrder, writePlace, type PackRef } from "./locations.ts";
import type { ScannedEntry } from "./scan.ts";
import type { ImageRef } from "./stored.ts";
import { encodeTree, rowCount, rowHash, rowIndex, treeFiles, type Tree, type TreeEntry } from "./tree.ts";

export interface PublishAsk {
  readonly store: Pick<ObjectStore, "write">;
  readonly bases: readonly ImageRef[];
  /** Of the locations that are written. */
  readonly generation: number;
  readonly signal: AbortSignal;
}

/** What the packs hold when all of them are sent. */
export interface Held {
  readonly index: ChunkIndex;
  /** By the numbers that the index uses. */
  readonly packs: readonly (PackRef | undefined)[];
  /** Packs below this number came from bases. */
  readonly ownFrom: number;
}

export interface Published extends ImageRef {
  readonly treeBytes: Buffer;
  readonly packs: readonly PackRef[];
  readonly chunks: number;
  readonly newChunks: number;
  /** Plain bytes of the chunks that a base had already. */
  readonly reusedBytes: number;
}

export async function publishTree(ask: PublishAsk, entries: readonly TreeEntry[], held: Held): Promise<Published> {
  const tree: Tree = { entries };
  const { bytes: treeBytes, digest } = encodeTree(tree);
  const { places, ...found } = locate(held, tree);
  const base = ask.bases.find((ref) => ref.digest === digest);
  const generation = base?.generation ?? ask.generation;
  if (!base) {
    const locations = encodeLocations({ digest, generation, packs: found.packs, places });
    await ask.store.write(treeKey(digest), treeBytes, digest, ask.signal);
    await ask.store.write(locationsKey(digest, generation), locations, sha256Hex(locations), ask.signal);
  }
  return { digest, generation, treeBytes, ...found };
}

export function treeEntry({ kind, path, mode, mtimeMs, finderInfo, target, bytes }: ScannedEntry, rows: Buffer | undefined): TreeEntry {
  const common = { path, mode, mtimeMs, finderInfo };
  if (kind === "file") return { kind, ...common, bytes, rows: rows ?? Buffer.alloc(0) };
  return kind === "link" ? { kind, ...common, target } : { kind, ...common };
}

/** Where each chunk of the tree lies, with the packs renumbered to those that the tree needs. */
function locate(held: Held, tree: Tree) {
  const files = treeFiles(tree);
  const chunks = files.reduce((sum, file) => sum + rowCount(file.rows), 0);
  const places = Buffer.alloc(chunks * placeBytes);
  const fresh = new Float64Array(chunks);
  const numbers = new Map<number, number>();
  const packs: PackRef[] = [];
  let [at, freshRows, reusedBytes] = [0, 0, 0];
  for (const file of files) {
    for (let row = 0; row < rowCount(file.rows); row++, at++) {
      const place = held.index.find(rowHash(file.rows, row));
      const pack = place && held.packs[place.pack];
      if (!place || !pack) throw new Error(`A chunk of ${file.path} has no place although it was sent.`);
      const number = numbers.get(place.pack) ?? packs.push(pack) - 1;
      numbers.set(place.pack, number);
      writePlace(places, at, { ...place, pack: number });
      if (place.pack < held.ownFrom) reusedBytes += chunkLength(file.bytes, rowIndex(file.rows, row));
      else fresh[freshRows++] = placeOrder(place);
    }
  }
  return { places, packs, chunks, newChunks: distinct(fresh.subarray(0, freshRows)), reusedBytes };
}

function distinct(numbers: Float64Array): number {
  numbers.sort();
  return numbers.reduce((count, number, n) => (n > 0 && number === numbers[n - 1] ? count : count + 1), 0);
}
