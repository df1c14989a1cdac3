/**
 * The chunks that living trees need, pack by pack: trees list them file by file, and whoever reads, checks or repacks a pack needs them the other way round.
 *
 * Rows go to a few files on disk by the number of their pack, and each file is sorted alone: so memory is bounded by a 64th of the rows (48 bytes each; some 200 KB
 * on disk and 3 KB in memory per GB of image that is not zeros), however many versions a store holds.
 */
import { mkdir, open, readFile, rm, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { ObjectStore } from "../stores/object-store.ts";
import { onDisk } from "./files.ts";
import { chunkLength, hashBytes } from "./format.ts";
import { placeAt, type ChunkPlace, type PackRef } from "./locations.ts";
import { readImage, type ImageRef, type StoredImage } from "./stored.ts";
import { rowCount, rowHash, rowIndex, treeFiles } from "./tree.ts";

/** A chunk in a pack: where it lies, how long it is there and unpacked, and its name. */
export interface PackRow {
  readonly offset: number;
  readonly length: number;
  readonly plainBytes: number;
  readonly hash: Buffer;
}
export interface RowsOfPack extends PackRef {
  /** In the order of the pack, each once. */
  readonly rows: readonly PackRow[];
}

export interface PackRowsAsk {
  readonly store: Pick<ObjectStore, "read">;
  readonly refs: readonly ImageRef[];
  /** Made, used and removed here. */
  readonly folder: string;
  readonly wants: (sha256: string) => boolean;
  /** Decides about a tree that cannot be read: throws, or lets the others count. */
  readonly onBroken: (ref: ImageRef, error: unknown) => void;
  readonly signal: AbortSignal;
}

const partitions = 64;
const rowBytes = 16 + hashBytes;
/** Waits in memory for its file: with 64 files 4 MiB in all. */
const bufferedBytes = 64 * 1024;

export async function* packRows(ask: PackRowsAsk): AsyncGenerator<RowsOfPack> {
  const { folder, refs, store, wants, onBroken, signal } = ask;
  const packs = openPackNumbers();
  await onDisk(folder, () => mkdir(folder, { recursive: true }));
  try {
    const files = await openPartitions(folder);
    try {
      for (const ref of refs) {
        signal.throwIfAborted();
        const image = await readImage(store, ref, signal).catch((error: unknown) => {
          signal.throwIfAborted();
          onBroken(ref, error);
          return null;
        });
        if (image) await spread(image, { packs, wants, write: files.write });
      }
    } finally {
      await files.close();
    }
    for (let n = 0; n < partitions; n++) {
      signal.throwIfAborted();
      yield* inPacks(await onDisk(folder, () => readFile(partitionPath(folder, n))), packs.refs);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Tells each row of an image with its place, in the order of the tree. */
export function eachPlace(
  { tree, locations }: Pick<StoredImage, "tree" | "locations">,
  tell: (row: { place: ChunkPlace; pack: PackRef; plainBytes: number; hash: Buffer; at: number }) => void,
): void {
  let at = 0;
  for (const { rows, bytes } of treeFiles(tree)) {
    for (let row = 0; row < rowCount(rows); row++, at++) {
      const place = placeAt(locations.places, at);
      const pack = locations.packs[place.pack];
      if (pack) tell({ place, pack, plainBytes: chunkLength(bytes, rowIndex(rows, row)), hash: rowHash(rows, row), at });
    }
  }
}

interface Spreading {
  readonly packs: ReturnType<typeof openPackNumbers>;
  readonly wants: (sha256: string) => boolean;
  readonly write: (partition: number, row: Buffer) => Promise<void> | null;
}

async function spread(image: StoredImage, { packs, wants, write }: Spreading): Promise<void> {
  const numbers = image.locations.packs.map((pack) => (wants(pack.sha256) ? packs.numberOf(pack) : -1));
  const row = Buffer.alloc(rowBytes);
  const full: Promise<void>[] = [];
  eachPlace(image, ({ place, plainBytes, hash }) => {
    const number = numbers[place.pack] ?? -1;
    if (number < 0) return;
    row.writeUInt32LE(number, 0);
    row.writeUInt32LE(place.offset, 4);
    row.writeUInt32LE(place.length, 8);
    row.writeUInt32LE(plainBytes, 12);
    hash.copy(row, 16);
    const writing = write(number % partitions, row);
    if (writing) full.push(writing);
  });
  await Promise.all(full);
}

function openPackNumbers() {
  const known = new Map<string, number>();
  const refs: PackRef[] = [];
  return {
    refs: refs as readonly PackRef[],
    numberOf: (pack: PackRef): number => {
      const number = known.get(pack.sha256) ?? refs.push(pack) - 1;
      known.set(pack.sha256, number);
      return number;
    },
  };
}

const partitionPath = (folder: string, n: number) => join(folder, `rows-${n}`);

async function openPartitions(folder: string) {
  const handles: FileHandle[] = [];
  const buffers: { memory: Buffer; used: number; written: Promise<void> }[] = [];
  for (let n = 0; n < partitions; n++) {
    handles.push(await onDisk(folder, () => open(partitionPath(folder, n), "w")));
    buffers.push({ memory: Buffer.allocUnsafe(bufferedBytes), used: 0, written: Promise.resolve() });
  }
  const flush = (n: number): Promise<void> | null => {
    const [handle, buffer] = [handles[n], buffers[n]];
    if (!handle || !buffer || buffer.used === 0) return null;
    const bytes = Buffer.from(buffer.memory.subarray(0, buffer.used));
    buffer.used = 0;
    // One after the other: two appends to one file at once may mix.
    buffer.written = buffer.written.then(() => onDisk(folder, () => handle.appendFile(bytes)));
    return buffer.written;
  };
  return {
    /** Answers only when something must be waited for. */
    write: (n: number, row: Buffer): Promise<void> | null => {
      const buffer = buffers[n];
      if (!buffer) return null;
      row.copy(buffer.memory, buffer.used);
      buffer.used += rowBytes;
      return buffer.used + rowBytes > bufferedBytes ? flush(n) : null;
    },
    close: async () => {
      for (const n of handles.keys()) await flush(n);
      for (const handle of handles) await handle.close();
    },
  };
}

function* inPacks(table: Buffer, refs: readonly PackRef[]): Generator<RowsOfPack> {
  const count = table.byteLength / rowBytes;
  const row = (n: number) => table.subarray(n * rowBytes, (n + 1) * rowBytes);
  const order = Uint32Array.from({ length: count }, (_, n) => n).sort((a, b) => compareRows(row(a), row(b)));
  let [pack, rows]: [number, PackRow[]] = [-1, []];
  let last: Buffer | null = null;
  for (const n of order) {
    const bytes = row(n);
    if (last?.equals(bytes)) continue;
    last = bytes;
    const number = bytes.readUInt32LE(0);
    if (number !== pack) {
      const ref = refs[pack];
      if (ref) yield { ...ref, rows };
      [pack, rows] = [number, []];
    }
    rows.push({
      offset: bytes.readUInt32LE(4),
      length: bytes.readUInt32LE(8),
      plainBytes: bytes.readUInt32LE(12),
      hash: bytes.subarray(16),
    });
  }
  const ref = refs[pack];
  if (ref) yield { ...ref, rows };
}

function compareRows(a: Buffer, b: Buffer): number {
  for (let at = 0; at < 16; at += 4) {
    const [left, right] = [a.readUInt32LE(at), b.readUInt32LE(at)];
    if (left !== right) return left - right;
  }
  return a.compare(b, 16, rowBytes, 16, rowBytes);
}
