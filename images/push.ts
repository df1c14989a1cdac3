/**
 * Push: a bundle on disk becomes an image in a store.
 *
 * Only chunks that the store does not have travel, and the order makes it safe: packs first, then the tree, the locations last.
 * A push that dies leaves packs that the next attempt finds in its journal, and nothing that anybody could mistake for an image.
 */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { FaultError } from "../domain/errors.ts";
import type { ObjectStore } from "../stores/object-store.ts";
import { chunkFiles, type FileRows } from "./chunk-files.ts";
import { chunkIndex, type ChunkIndex } from "./chunk-index.ts";
import { openChunkPool, type ChunkPool } from "./chunk-pool.ts";
import { chunkBytes, chunkLength, locationsKey, packKey, sha256Hex, treeKey } from "./format.ts";
import { openPushJournal, type PushJournal } from "./journal.ts";
import { encodeLocations, placeAt, placeBytes, writePlace, type PackRef } from "./locations.ts";
import { openPacker, type Packer } from "./packer.ts";
import { checkUnchanged, scanFolder, type Scan, type ScannedEntry } from "./scan.ts";
import { readImage, type ImageRef } from "./stored.ts";
import { encodeTree, rowCount, rowHash, rowIndex, treeFiles, type Tree, type TreeEntry } from "./tree.ts";

export interface PushProgress {
  readonly phase: "scanning" | "sending" | "publishing";
  /** Bytes of the bundle's files looked at, holes included. */
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Bytes that this push has brought to the store, earlier attempts included. */
  readonly newBytes: number;
  readonly packsDone: number;
}

export interface PushAsk {
  readonly bundlePath: string;
  /** Names in the bundle's folder that are not part of the image. */
  readonly leftOut?: readonly string[];
  readonly store: Pick<ObjectStore, "read" | "write" | "size">;
  /** Images that this store holds already: what they have does not travel. */
  readonly bases: readonly ImageRef[];
  /** A file on this host that is this push's own, and the same when it is tried again. */
  readonly journalPath: string;
  /** Of the locations that are written. */
  readonly generation: number;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: PushProgress) => void;
  /** Packs on their way at once. */
  readonly parallel?: number;
  readonly threads?: number;
}

export interface PushResult extends ImageRef {
  readonly entries: number;
  readonly files: number;
  readonly logicalBytes: number;
  readonly allocatedBytes: number;
  readonly chunks: number;
  readonly newChunks: number;
  /** Pack bytes that this push brought to the store, earlier attempts included. */
  readonly newBytes: number;
  /** Of these, what this attempt sent. */
  readonly sentBytes: number;
  /** Bytes of all packs that the image needs. */
  readonly storedBytes: number;
  /** Plain bytes of the chunks that a base had already. */
  readonly reusedBytes: number;
  readonly packs: number;
}

/** Four packs of 16 MiB keep a line of 1 GB/s busy; more than eight only cost memory. */
const defaultParallel = 4;
const maxParallel = 8;

/** What a push knows while it runs. */
interface Push {
  readonly ask: PushAsk;
  readonly index: ChunkIndex;
  /** By the numbers that the index uses; a hole while a pack is on its way. */
  readonly packs: (PackRef | undefined)[];
  /** Packs below this number came from bases, those up to `freshFrom` from earlier attempts. */
  readonly ownFrom: number;
  readonly freshFrom: number;
  readonly totals: { doneBytes: number; totalBytes: number; packsDone: number };
}

export async function pushBundle(ask: PushAsk): Promise<PushResult> {
  ask.signal.throwIfAborted();
  const scan = await scanFolder(ask.bundlePath, ask.leftOut);
  const [refusal] = scan.refusals;
  if (refusal) throw new FaultError(refusal);
  await mkdir(dirname(ask.journalPath), { recursive: true });
  const journal = await openPushJournal(ask.journalPath);
  try {
    const push = await beginPush(ask, scan, journal);
    report(push, "scanning");
    const rows = await sendChunks(push, scan, journal);
    checkUnchanged(scan, await scanFolder(ask.bundlePath, ask.leftOut));
    report(push, "publishing");
    return await publish(push, scan, rows);
  } finally {
    await journal.close();
  }
}

async function beginPush(ask: PushAsk, scan: Scan, journal: PushJournal): Promise<Push> {
  const totalBytes = sum(scan.entries, (entry) => entry.bytes);
  const index = chunkIndex(sum(scan.entries, (entry) => Math.min(entry.bytes, entry.allocatedBytes)) / chunkBytes);
  const packs: PackRef[] = [];
  for (const base of ask.bases) await learnBase(ask, base, index, packs);
  const ownFrom = packs.length;
  for (const pack of journal.packs) {
    // A kill between the store's answer and our note of it: the store knows, so ask it instead of sending again.
    if (!pack.finished && (await ask.store.size(packKey(pack.sha256))) !== pack.bytes) continue;
    if (!pack.finished) await journal.finish(pack.sha256);
    for (const { hash, offset, length } of pack.chunks) index.add(hash, { pack: packs.length, offset, length });
    packs.push({ sha256: pack.sha256, bytes: pack.bytes });
  }
  return { ask, index, packs, ownFrom, freshFrom: packs.length, totals: { doneBytes: 0, totalBytes, packsDone: packs.length - ownFrom } };
}

async function learnBase(ask: PushAsk, base: ImageRef, index: ChunkIndex, packs: PackRef[]): Promise<void> {
  const { tree, locations } = await readImage(ask.store, base, ask.signal);
  const first = packs.length;
  packs.push(...locations.packs);
  let at = 0;
  for (const { rows } of treeFiles(tree)) {
    for (let row = 0; row < rowCount(rows); row++, at++) {
      const place = placeAt(locations.places, at);
      index.add(rowHash(rows, row), { ...place, pack: first + place.pack });
    }
  }
}

async function sendChunks(push: Push, scan: Scan, journal: PushJournal): Promise<Map<string, Buffer>> {
  const { ask, packs, totals } = push;
  const onSent = ({ number, sha256, bytes }: { number: number; sha256: string; bytes: number }) => {
    packs[number] = { sha256, bytes };
    totals.packsDone++;
    report(push, "sending");
  };
  const parallel = Math.min(ask.parallel ?? defaultParallel, maxParallel);
  const packer = openPacker({ store: ask.store, journal, parallel, signal: ask.signal, onSent }, packs.length);
  const pool = openChunkPool(ask.threads);
  try {
    pool.know(push.index.shared());
    const files = await chunkFiles(
      { root: ask.bundlePath, files: scan.entries.filter((entry) => entry.kind === "file"), pool, compress: true, signal: ask.signal },
      (found) => take(push, found, packer, pool),
    );
    await packer.finish();
    return files;
  } finally {
    await packer.settle();
    await pool.close();
  }
}

/** Packs what came back from a thread. Two threads may bring one chunk: the index keeps the first. */
async function take(push: Push, { rows, stored, body, bytes }: FileRows, packer: Packer, pool: ChunkPool): Promise<void> {
  let at = 0;
  let row = 0;
  const before = push.index.shared().keys;
  for (const table of rows) {
    for (let n = 0; n < rowCount(table); n++, row++) {
      const length = stored[row] ?? 0;
      const hash = rowHash(table, n);
      if (length > 0 && push.index.find(hash) === null) {
        await packer.room();
        // Looked at again: while this one waited for room, another may have brought the same chunk.
        if (push.index.find(hash) === null) push.index.add(hash, packer.take(hash, body.subarray(at, at + length)));
      }
      at += length;
    }
  }
  if (push.index.shared().keys !== before) pool.know(push.index.shared());
  push.totals.doneBytes += bytes;
  report(push, "sending");
}

async function publish(push: Push, scan: Scan, rows: ReadonlyMap<string, Buffer>): Promise<PushResult> {
  const { ask } = push;
  const tree: Tree = { entries: scan.entries.map((entry) => treeEntry(entry, rows.get(entry.path))) };
  const { bytes, digest } = encodeTree(tree);
  const found = locate(push, tree);
  const base = ask.bases.find((ref) => ref.digest === digest);
  const generation = base?.generation ?? ask.generation;
  if (!base) {
    const locations = encodeLocations({ digest, generation, packs: found.packs, places: found.places });
    await ask.store.write(treeKey(digest), bytes, digest, ask.signal);
    await ask.store.write(locationsKey(digest, generation), locations, sha256Hex(locations), ask.signal);
  }
  const fresh = push.packs.slice(push.freshFrom);
  return {
    digest,
    generation,
    entries: tree.entries.length,
    files: treeFiles(tree).length,
    logicalBytes: push.totals.totalBytes,
    allocatedBytes: sum(scan.entries, (entry) => entry.allocatedBytes),
    chunks: found.chunks,
    newChunks: found.newChunks,
    newBytes: newBytes(push),
    sentBytes: sum(fresh, (pack) => pack?.bytes ?? 0),
    storedBytes: sum(found.packs, (pack) => pack.bytes),
    reusedBytes: found.reusedBytes,
    packs: found.packs.length,
  };
}

function treeEntry({ kind, path, mode, mtimeMs, finderInfo, target, bytes }: ScannedEntry, rows: Buffer | undefined): TreeEntry {
  const common = { path, mode, mtimeMs, finderInfo };
  if (kind === "file") return { kind, ...common, bytes, rows: rows ?? Buffer.alloc(0) };
  return kind === "link" ? { kind, ...common, target } : { kind, ...common };
}

/** Where each chunk of the tree lies, with the packs renumbered to those that the tree needs. */
function locate(push: Push, tree: Tree) {
  const files = treeFiles(tree);
  const chunks = sum(files, (file) => rowCount(file.rows));
  const places = Buffer.alloc(chunks * placeBytes);
  const numbers = new Map<number, number>();
  const packs: PackRef[] = [];
  const fresh = new Set<string>();
  let [at, reusedBytes] = [0, 0];
  for (const file of files) {
    for (let row = 0; row < rowCount(file.rows); row++, at++) {
      const hash = rowHash(file.rows, row);
      const place = push.index.find(hash);
      const pack = place && push.packs[place.pack];
      if (!place || !pack) throw new Error(`A chunk of ${file.path} has no place although it was sent.`);
      const number = numbers.get(place.pack) ?? packs.push(pack) - 1;
      numbers.set(place.pack, number);
      writePlace(places, at, { ...place, pack: number });
      if (place.pack < push.ownFrom) reusedBytes += chunkLength(file.bytes, rowIndex(file.rows, row));
      else fresh.add(hash.toString("latin1"));
    }
  }
  return { places, packs, chunks, newChunks: fresh.size, reusedBytes };
}

const newBytes = (push: Push): number => sum(push.packs.slice(push.ownFrom), (pack) => pack?.bytes ?? 0);

function report(push: Push, phase: PushProgress["phase"]): void {
  push.ask.onProgress?.({ phase, ...push.totals, newBytes: newBytes(push) });
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
