/**
 * Writes into a store what is broken there, from an image that this host has in its cache: new packs with the chunks that are lost, then new locations.
 *
 * Nothing of the host is believed either: each chunk is hashed before it goes, so a cache that is damaged itself heals nothing and spoils nothing.
 */
import { openSync, closeSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { hash } from "node:crypto";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import { readAll, type ObjectStore } from "../stores/object-store.ts";
import { onDisk, readFully } from "./files.ts";
import { chunkBytes, chunkLength, corrupt, locationsKey, sha256Hex, treeKey } from "./format.ts";
import type { ImagePaths } from "./layout.ts";
import { defaultLevel } from "./level.ts";
import {
  encodeLocations,
  locationsLimitBytes,
  parseLocations,
  placeAt,
  placeBytes,
  writePlace,
  type Locations,
  packList,
  type PackRef,
} from "./locations.ts";
import { openPackWriter, type PackWriter } from "./pack-writer.ts";
import { treeRows } from "./stored.ts";
import { parseTree, rowCount, rowHash, rowIndex, treeFiles, type FileEntry, type Tree } from "./tree.ts";
import { compressInto } from "./zstd.ts";

export interface WriteAnewAsk {
  readonly paths: ImagePaths;
  readonly digest: string;
  /** The generation of the locations that can be believed; `null` where none can, and everything is written. */
  readonly from: number | null;
  readonly to: number;
  /** Packs that cannot be believed. */
  readonly broken: ReadonlySet<string>;
  readonly store: Pick<ObjectStore, "read" | "write">;
  readonly signal: AbortSignal;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

export async function writeAnew(ask: WriteAnewAsk): Promise<{ chunks: number; sentBytes: number }> {
  const { paths, digest, from, to, broken, store, signal } = ask;
  const treeBytes = await onDisk(paths.tree, () => readFile(paths.tree));
  const tree = parseTree(treeBytes, digest);
  const known = from === null ? null : await readLocations(store, { digest, generation: from, rows: treeRows(tree) }, signal);
  const writer = openPackWriter(store, signal, broken);
  const fresh = await sendLost(ask, tree, known, writer);
  const newPacks = await writer.finish();
  const locations = encodeLocations({ digest, generation: to, ...placesOf(tree, known, fresh, newPacks, broken) });
  await store.write(treeKey(digest), treeBytes, digest, signal);
  await store.write(locationsKey(digest, to), locations, sha256Hex(locations), signal);
  return { chunks: fresh.size, sentBytes: newPacks.reduce((sum, pack) => sum + pack.bytes, 0) };
}

async function readLocations(
  store: Pick<ObjectStore, "read">,
  expected: { digest: string; generation: number; rows: number },
  signal: AbortSignal,
): Promise<Locations> {
  const key = locationsKey(expected.digest, expected.generation);
  return parseLocations(await readAll(await store.read(key, null, signal), key, locationsLimitBytes), expected);
}

type Fresh = Map<string, { packNumber: number; offset: number; length: number }>;

/** Chunks by their names: one that many files share is sent once. */
async function sendLost(
  { paths, broken, signal, onProgress }: WriteAnewAsk,
  tree: Tree,
  known: Locations | null,
  writer: PackWriter,
): Promise<Fresh> {
  const fresh: Fresh = new Map();
  const files = treeFiles(tree);
  const totalBytes = files.reduce((sum, file) => sum + file.bytes, 0);
  let [row, doneBytes] = [0, 0];
  for (const file of files) {
    signal.throwIfAborted();
    const first = row;
    row += rowCount(file.rows);
    const lost = rowsOf(file).filter((n) => isLost(known, first + n, broken) && !fresh.has(nameOf(file, n)));
    await eachChunk(join(paths.bundle, file.path), file, lost, async (body, n) => {
      const name = nameOf(file, n);
      if (!fresh.has(name)) fresh.set(name, await writer.add(body));
    });
    doneBytes += file.bytes;
    onProgress?.(doneBytes, totalBytes);
  }
  return fresh;
}

const rowsOf = (file: FileEntry): number[] => Array.from({ length: rowCount(file.rows) }, (_, n) => n);
const nameOf = (file: FileEntry, n: number): string => rowHash(file.rows, n).toString("hex");

function isLost(known: Locations | null, row: number, broken: ReadonlySet<string>): boolean {
  const pack = known?.packs[placeAt(known.places, row).pack];
  return !pack || broken.has(pack.sha256);
}

const plain = Buffer.allocUnsafeSlow(chunkBytes);
const packed = Buffer.allocUnsafeSlow(chunkBytes);

async function eachChunk(
  path: string,
  file: FileEntry,
  rows: readonly number[],
  take: (body: Uint8Array, row: number) => Promise<void>,
): Promise<void> {
  if (rows.length === 0) return;
  const fd = await onDisk(path, () => openSync(path, "r"));
  try {
    for (const row of rows) {
      const index = rowIndex(file.rows, row);
      const chunk = plain.subarray(0, chunkLength(file.bytes, index));
      if (readFully(fd, chunk, index * chunkBytes) < chunk.byteLength || !hash("sha256", chunk, "buffer").equals(rowHash(file.rows, row)))
        throw corrupt(`The cached file ${path}`, `its chunk ${index} is not the one that was pushed`);
      // As everywhere: one that does not shrink is stored as it is.
      const bytes = compressInto(chunk, packed.subarray(0, chunk.byteLength - 1), defaultLevel);
      await take(bytes === null ? chunk : packed.subarray(0, bytes), row);
      // Some milliseconds of work: whoever else lives in this process has a turn.
      await turn();
    }
  } finally {
    closeSync(fd);
  }
}

function placesOf(tree: Tree, known: Locations | null, fresh: Fresh, newPacks: readonly PackRef[], broken: ReadonlySet<string>) {
  const { packs, numberOf } = packList();
  const places = Buffer.alloc(treeRows(tree) * placeBytes);
  let row = 0;
  for (const file of treeFiles(tree)) {
    for (const n of rowsOf(file)) {
      const old = known && placeAt(known.places, row);
      const oldPack = old && known.packs[old.pack];
      const now = fresh.get(nameOf(file, n));
      const newPack = now && newPacks[now.packNumber];
      if (old && oldPack && !broken.has(oldPack.sha256)) writePlace(places, row, { ...old, pack: numberOf(oldPack) });
      else if (now && newPack) writePlace(places, row, { pack: numberOf(newPack), offset: now.offset, length: now.length });
      row++;
    }
  }
  return { packs, places };
}
