/**
 * The chunks that a pull lacks, in the order in which they lie in their packs.
 *
 * One number per chunk and nothing else: an image of 100 GB has 400,000 of them. What a chunk is and who wants it is looked up where it is read, span by span.
 */
import { join } from "node:path";
import { chunkBytes, chunkLength } from "./format.ts";
import { placeAt, placeOrder, type ChunkPlace } from "./locations.ts";
import { rowFinder } from "./near.ts";
import type { StoredImage } from "./stored.ts";

/** A chunk to fetch: where it lies, and every place that wants it. */
export interface WantedChunk {
  readonly offset: number;
  readonly length: number;
  readonly plainBytes: number;
  readonly hash: Buffer;
  readonly targets: { readonly path: string; readonly position: number }[];
  /** Its numbers in the whole tree. */
  readonly rows: number[];
}

/** Neighbours in one pack, which are read together. */
export interface Span {
  readonly pack: string;
  readonly offset: number;
  readonly end: number;
  /** Made anew at each look. */
  readonly chunks: readonly WantedChunk[];
}

/** 4 MiB a read: eight at once fill a line of 4 Gbit/s over 50 ms, and fit in little memory. */
const spanBytes = 4 * 1024 * 1024;
/** Neighbours share an image out among them in parts: the smaller these are, the more evenly. */
const cellBytes = 2 * 1024 * 1024;
/** Reading over a gap of this size is cheaper than another request. */
export const gapBytes = 128 * 1024;

/** In which part of its pack an offset lies: the same on all hosts, whatever each of them lacks. */
export const cellOf = (offset: number): number => Math.floor(offset / cellBytes);

type Fits = (first: ChunkPlace, next: ChunkPlace) => boolean;
const fitsRead: Fits = (first, { offset, length }) => offset + length - first.offset <= spanBytes;
const fitsCell: Fits = (first, { offset }) => cellOf(offset) === cellOf(first.offset);

/** `rows`: the numbers of the missing chunks in the whole tree, in any order. `shared`: cut where all hosts cut, so that they speak of the same parts. */
export function spansOf(image: StoredImage, bundle: string, rows: readonly number[], { shared = false } = {}): Span[] {
  const fits = shared ? fitsCell : fitsRead;
  const { packs, places } = image.locations;
  const order = inPackOrder(places, rows);
  const chunks = chunkMaker(image, bundle);
  const spans: Span[] = [];
  for (let from = 0; from < order.length;) {
    const first = placeAt(places, order[from] ?? 0);
    let [to, end] = [from + 1, first.offset + first.length];
    for (; to < order.length; to++) {
      const place = placeAt(places, order[to] ?? 0);
      if (!isNear(first, end, place) || !fits(first, place)) break;
      end = Math.max(end, place.offset + place.length);
    }
    const own = order.subarray(from, to);
    spans.push({
      pack: packs[first.pack]?.sha256 ?? "",
      offset: first.offset,
      end,
      get chunks() {
        return chunks(own);
      },
    });
    from = to;
  }
  return spans;
}

function inPackOrder(places: Buffer, rows: readonly number[]): Uint32Array {
  const keys = new Float64Array(rows.map((row) => placeOrder(placeAt(places, row))));
  const numbers = new Uint32Array(rows.length).map((_, n) => n).sort((a, b) => (keys[a] ?? 0) - (keys[b] ?? 0));
  return numbers.map((n) => rows[n] ?? 0);
}

const isNear = (first: ChunkPlace, end: number, { pack, offset }: ChunkPlace): boolean => pack === first.pack && offset - end <= gapBytes;

/** Rows that name one place and one chunk become one chunk with several targets. */
function chunkMaker({ tree, locations }: StoredImage, bundle: string): (rows: Uint32Array) => WantedChunk[] {
  const { find } = rowFinder(tree);
  return (rows) => {
    const chunks: WantedChunk[] = [];
    for (const row of rows) {
      const found = find(row);
      if (!found) throw new Error(`The tree has no row ${row}.`);
      const { file, index, hash } = found;
      const { offset, length } = placeAt(locations.places, row);
      const target = { path: join(bundle, file.path), position: index * chunkBytes };
      const last = chunks.at(-1);
      if (last && last.offset === offset && last.length === length && last.hash.equals(hash)) {
        last.targets.push(target);
        last.rows.push(row);
      } else chunks.push({ offset, length, plainBytes: chunkLength(file.bytes, index), hash, targets: [target], rows: [row] });
    }
    return chunks;
  };
}
