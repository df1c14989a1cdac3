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
import { chunkBytes, packKey } from "./format.ts";
import { eachPackedChunk, openPushJournal, type PushJournal } from "./journal.ts";
import { chooseLevel, type Level, type LevelChoice } from "./level.ts";
import { freeLine, type Line } from "./line.ts";
import { placeAt, type PackRef } from "./locations.ts";
import { openPackWidth } from "./pack-width.ts";
import { openPacker, type Packer } from "./packer.ts";
import { publishTree, treeEntry } from "./publish.ts";
import { readPushRecord, unknownBundle, writePushRecord, type PushRecord } from "./push-record.ts";
import { checkUnchanged, scanFolder, type Scan, type ScannedEntry } from "./scan.ts";
import { readImage, type ImageRef } from "./stored.ts";
import { everyRow, rowCount, rowHash, treeFiles } from "./tree.ts";

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
  /** A file on this host that is this bundle's own: what the push finds is kept there, and what the last one found need not be read again. */
  readonly recordPath?: string;
  /** Read everything, whatever the record says. */
  readonly verify?: boolean;
  readonly level?: Level;
  /** What limits the bytes per second. */
  readonly line?: Line;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: PushProgress) => void;
  /** Packs on their way at once, which share the bytes of one; without it as many as suit the line. */
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
  /** Bytes of files that were not read, since nothing touched them after the last push. */
  readonly unreadBytes: number;
  readonly packs: number;
}

/** What a push knows while it runs. */
interface Push {
  readonly ask: PushAsk;
  readonly index: ChunkIndex;
  /** By the numbers that the index uses; a hole while a pack is on its way. */
  readonly packs: (PackRef | undefined)[];
  /** Packs below this number came from bases, those up to `freshFrom` from earlier attempts. */
  readonly ownFrom: number;
  readonly freshFrom: number;
  readonly scannedAtMs: number;
  readonly totals: { doneBytes: number; totalBytes: number; unreadBytes: number; packsDone: number };
}

export async function pushBundle(ask: PushAsk): Promise<PushResult> {
  ask.signal.throwIfAborted();
  const scannedAtMs = Date.now();
  const scan = await scanFolder(ask.bundlePath, ask.leftOut);
  const [refusal] = scan.refusals;
  if (refusal) throw new FaultError(refusal);
  await mkdir(dirname(ask.journalPath), { recursive: true });
  const journal = await openPushJournal(ask.journalPath);
  try {
    const push = await beginPush(ask, scan, journal, scannedAtMs);
    report(push, "scanning");
    const rows = await sendChunks(push, scan, journal);
    checkUnchanged(scan, await scanFolder(ask.bundlePath, ask.leftOut));
    report(push, "publishing");
    return await conclude(push, scan, rows);
  } finally {
    await journal.close();
  }
}

async function beginPush(ask: PushAsk, scan: Scan, journal: PushJournal, scannedAtMs: number): Promise<Push> {
  const totalBytes = sum(scan.entries, (entry) => entry.bytes);
  const index = chunkIndex(sum(scan.entries, (entry) => Math.min(entry.bytes, entry.allocatedBytes)) / chunkBytes);
  const packs: PackRef[] = [];
  for (const base of ask.bases) await learnBase(ask, base, index, packs);
  const ownFrom = packs.length;
  for (const pack of journal.packs) {
    // A kill between the store's answer and our note of it: the store knows, so ask it instead of sending again.
    if (!pack.finished && (await ask.store.size(packKey(pack.sha256))) !== pack.bytes) continue;
    if (!pack.finished) await journal.finish(pack.sha256);
    eachPackedChunk(pack.chunks, (hash, place) => index.add(hash, { pack: packs.length, ...place }));
    packs.push({ sha256: pack.sha256, bytes: pack.bytes });
  }
  const totals = { doneBytes: 0, totalBytes, unreadBytes: 0, packsDone: packs.length - ownFrom };
  return { ask, index, packs, ownFrom, freshFrom: packs.length, scannedAtMs, totals };
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
  const { ask, totals } = push;
  const rows = new Map<string, Buffer>();
  const record = ask.recordPath && !ask.verify ? await readPushRecord(ask.recordPath) : unknownBundle;
  const files = unknownFiles(push, scan, record, rows);
  totals.unreadBytes = totals.doneBytes = totals.totalBytes - sum(files, (file) => file.bytes);
  if (files.length === 0) return rows;
  const level = chooseLevel(ask.level);
  const packer = packerOf(push, journal, level);
  const pool = openChunkPool(ask.threads);
  try {
    pool.know(push.index.shared());
    const asked = { root: ask.bundlePath, files, pool, compress: level.current, signal: ask.signal };
    for (const [path, found] of await chunkFiles(asked, (part) => take(push, part, packer, pool))) rows.set(path, found);
    await packer.finish();
    return rows;
  } finally {
    await packer.settle();
    await pool.close();
  }
}

function packerOf(push: Push, journal: PushJournal, level: LevelChoice): Packer {
  const { ask, packs, totals } = push;
  const width = openPackWidth(ask.parallel);
  const onSent = ({ number, sha256, bytes }: { number: number; sha256: string; bytes: number }) => {
    packs[number] = { sha256, bytes };
    totals.packsDone++;
    report(push, "sending");
  };
  const { packFull: onFull } = level;
  return openPacker({ store: ask.store, line: ask.line ?? freeLine, journal, width, signal: ask.signal, onFull, onSent }, packs.length);
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

/** The files to read; of the others the rows go into `rows`: not touched since the last push, and all that they hold is in the store. */
function unknownFiles({ index }: Push, scan: Scan, record: PushRecord, rows: Map<string, Buffer>): ScannedEntry[] {
  return scan.entries.filter((entry) => {
    if (entry.kind !== "file") return false;
    const known = record.rowsOf(entry);
    if (!known || !everyRow(known, (hash) => index.find(hash) !== null)) return true;
    rows.set(entry.path, known);
    return false;
  });
}

async function conclude(push: Push, scan: Scan, rows: ReadonlyMap<string, Buffer>): Promise<PushResult> {
  const { ask, totals } = push;
  const published = await publishTree(
    ask,
    scan.entries.map((entry) => treeEntry(entry, rows.get(entry.path))),
    push,
  );
  const { digest, generation, treeBytes, packs, ...counts } = published;
  if (ask.recordPath) await writePushRecord(ask.recordPath, { digest, treeBytes, entries: scan.entries, scannedAtMs: push.scannedAtMs });
  return {
    digest,
    generation,
    ...counts,
    entries: scan.entries.length,
    files: scan.entries.filter(({ kind }) => kind === "file").length,
    logicalBytes: totals.totalBytes,
    allocatedBytes: sum(scan.entries, (entry) => entry.allocatedBytes),
    unreadBytes: totals.unreadBytes,
    newBytes: newBytes(push),
    sentBytes: sum(push.packs.slice(push.freshFrom), (pack) => pack?.bytes ?? 0),
    storedBytes: sum(packs, (pack) => pack.bytes),
    packs: packs.length,
  };
}

const newBytes = (push: Push): number => sum(push.packs.slice(push.ownFrom), (pack) => pack?.bytes ?? 0);

function report(push: Push, phase: PushProgress["phase"]): void {
  const { doneBytes, totalBytes, packsDone } = push.totals;
  push.ask.onProgress?.({ phase, doneBytes, totalBytes, packsDone, newBytes: newBytes(push) });
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
