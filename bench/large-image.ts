/**
 * The tree and the locations of an image that nobody has room for: true tables over bytes that do not exist.
 */
import { randomFillSync } from "node:crypto";
import { chunkIndex } from "../images/chunk-index.ts";
import { chunkBytes, hashBytes } from "../images/format.ts";
import { defaultParallel, sharedPackBytes } from "../images/pack-width.ts";
import { publishTree, type Published } from "../images/publish.ts";
import { rowBytes, treeFiles, type TreeEntry } from "../images/tree.ts";
import { memoryStore } from "../stores/memory.ts";
import type { ObjectStore } from "../stores/object-store.ts";
import { smallerIsBetter, type Row } from "./table.ts";

/** A third, as of a disk full of programs: other content compresses less, and then the tables weigh less beside it. */
export const storedChunkBytes = Math.floor(chunkBytes / 3);

/** As a push makes them. */
export const largePackBytes = sharedPackBytes(defaultParallel);

/** Publishes an image of files without holes, of these sizes. */
export async function publishLarge(store: Pick<ObjectStore, "write">, files: readonly number[], signal: AbortSignal): Promise<Published> {
  const common = { mode: 0o644, mtimeMs: 1_700_000_000_000, finderInfo: null };
  const disks = files.map((bytes, n): TreeEntry => ({ kind: "file", path: `disk-${n}`, ...common, bytes, rows: fullRows(bytes) }));
  const entries: TreeEntry[] = [{ kind: "folder", path: "", ...common }, ...disks];
  const perPack = Math.floor(largePackBytes / storedChunkBytes);
  const index = chunkIndex(files.length);
  let chunk = 0;
  for (const { rows } of treeFiles({ entries })) {
    for (let at = 0; at < rows.byteLength; at += rowBytes, chunk++) {
      const place = { pack: Math.floor(chunk / perPack), offset: (chunk % perPack) * storedChunkBytes, length: storedChunkBytes };
      index.add(rows.subarray(at + 4, at + 4 + hashBytes), place);
    }
  }
  const packs = Array.from({ length: Math.ceil(chunk / perPack) }, (_, n) => ({
    sha256: n.toString(16).padStart(64, "0"),
    bytes: largePackBytes,
  }));
  return publishTree({ store, bases: [], generation: 1, signal }, entries, { index, packs, ownFrom: 0 });
}

function fullRows(bytes: number): Buffer {
  const rows = randomFillSync(Buffer.alloc(Math.ceil(bytes / chunkBytes) * rowBytes));
  for (let row = 0; row * rowBytes < rows.byteLength; row++) rows.writeUInt32LE(row, row * rowBytes);
  return rows;
}

const gigabyte = 1e9;
/** Two disks, together 100 GB. */
export const largeFiles = [64 * gigabyte, 36 * gigabyte];

/** What describes an image of 100 GB, in percent of its stored bytes. */
export async function largeImageRow(): Promise<Row> {
  const objects = new Map<string, Uint8Array>();
  const { packs } = await publishLarge(memoryStore(objects), largeFiles, new AbortController().signal);
  const described = [...objects.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  const stored = packs.reduce((sum, { bytes }) => sum + bytes, 0);
  return smallerIsBetter("tree and locations, 100 GB (simulated)", (100 * described) / stored, "%", null, { below: 1 });
}
