/**
 * The files of a stored image as streams, in order, without a bundle on disk: for whoever writes them elsewhere.
 *
 * The one idea: a file is read window by window, the next one on its way while the last is used; each chunk is verified before it is handed on, and zeros, which are
 * not stored, are made here.
 */
import type { FaultError } from "../../domain/errors.ts";
import { readAll, type ObjectStore } from "../../stores/object-store.ts";
import { chunkBytes, chunkCount, chunkLength, corrupt, packKey, sha256Hex } from "../format.ts";
import { placeAt, type ChunkPlace } from "../locations.ts";
import { twice, type StoredImage } from "../stored.ts";
import { rowCount, rowHash, rowIndex, treeFiles, type FileEntry } from "../tree.ts";
import { decompressInto } from "../zstd.ts";
import type { PackedFile } from "./pack.ts";

/** 16 chunks, usually neighbours in one pack, are one request of a few megabytes; two windows are in memory. */
const windowRows = 16;
/** Reading over a gap of this size is cheaper than another request. */
const gapBytes = 128 * 1024;

type Reading = Pick<ObjectStore, "read">;
interface Chunk {
  readonly index: number;
  readonly hash: Buffer;
  readonly place: ChunkPlace;
  readonly plainBytes: number;
}

export function storedFiles(store: Reading, { tree, locations }: StoredImage, signal: AbortSignal): PackedFile[] {
  let firstRow = 0;
  return treeFiles(tree).map((file) => {
    const rows = Array.from({ length: Math.ceil(rowCount(file.rows) / windowRows) }, (_, n) => firstRow + n * windowRows);
    const begin = firstRow;
    firstRow += rowCount(file.rows);
    const chunksOf = (from: number) => chunksIn(file, begin, from, (row) => placeAt(locations.places, row));
    const window = (from: number) => readWindow(store, (pack) => locations.packs[pack]?.sha256 ?? "", chunksOf(from), signal);
    return { path: file.path, mode: file.mode, bytes: file.bytes, content: () => contentOf(file, rows, window) };
  });
}

function chunksIn(file: FileEntry, firstRow: number, from: number, placeOf: (row: number) => ChunkPlace): Chunk[] {
  const until = Math.min(from + windowRows, firstRow + rowCount(file.rows));
  return Array.from({ length: until - from }, (_, n) => {
    const row = from - firstRow + n;
    const index = rowIndex(file.rows, row);
    return { index, hash: rowHash(file.rows, row), place: placeOf(from + n), plainBytes: chunkLength(file.bytes, index) };
  });
}

async function* contentOf(
  file: FileEntry,
  windows: readonly number[],
  read: (from: number) => Promise<Map<number, Buffer>>,
): AsyncGenerator<Uint8Array> {
  const zeros = Buffer.alloc(Math.min(chunkBytes, file.bytes));
  let next = 0;
  let coming = begin(windows[0], read);
  for (const from of [...windows.slice(1), undefined]) {
    const found = await coming;
    coming = begin(from, read);
    const last = Math.max(-1, ...(found?.keys() ?? []));
    for (; next <= last; next++) yield found?.get(next) ?? zeros.subarray(0, chunkLength(file.bytes, next));
  }
  for (; next < chunkCount(file.bytes); next++) yield zeros.subarray(0, chunkLength(file.bytes, next));
}

function begin<T>(from: number | undefined, read: (from: number) => Promise<T>): Promise<T> | undefined {
  const coming = from === undefined ? undefined : read(from);
  coming?.catch(() => undefined); // Told when it is waited for.
  return coming;
}

/** By their index in the file. */
async function readWindow(
  store: Reading,
  packOf: (pack: number) => string,
  chunks: readonly Chunk[],
  signal: AbortSignal,
): Promise<Map<number, Buffer>> {
  const found = new Map<number, Buffer>();
  for (const span of spansOf(chunks)) await twice(() => readSpan(store, packOf(span.pack), span, found, signal));
  return found;
}

interface Span {
  readonly pack: number;
  readonly offset: number;
  end: number;
  readonly chunks: Chunk[];
}

function spansOf(chunks: readonly Chunk[]): Span[] {
  const spans: Span[] = [];
  for (const chunk of chunks.toSorted((a, b) => a.place.pack - b.place.pack || a.place.offset - b.place.offset)) {
    const { pack, offset, length } = chunk.place;
    const last = spans.at(-1);
    if (last?.pack === pack && offset - last.end <= gapBytes) {
      last.chunks.push(chunk);
      last.end = Math.max(last.end, offset + length);
    } else spans.push({ pack, offset, end: offset + length, chunks: [chunk] });
  }
  return spans;
}

async function readSpan(
  store: Reading,
  sha256: string,
  { offset, end, chunks }: Span,
  found: Map<number, Buffer>,
  signal: AbortSignal,
): Promise<void> {
  const range = { offsetBytes: offset, lengthBytes: end - offset };
  const body = await readAll(await store.read(packKey(sha256), range, signal), `the pack ${sha256}`, range.lengthBytes);
  for (const { index, hash, place, plainBytes } of chunks) {
    const stored = body.subarray(place.offset - offset, place.offset - offset + place.length);
    const plain = place.length === plainBytes ? stored : unpacked(stored, plainBytes);
    if (!plain || sha256Hex(plain) !== hash.toString("hex")) throw wrongChunk(sha256, index);
    found.set(index, plain);
  }
}

function unpacked(stored: Buffer, plainBytes: number): Buffer | null {
  const plain = Buffer.allocUnsafe(plainBytes);
  return decompressInto(stored, plain) === plainBytes ? plain : null;
}

const wrongChunk = (sha256: string, index: number): FaultError =>
  corrupt(`The pack ${sha256}`, `its chunk ${index} is not what the image says`);
