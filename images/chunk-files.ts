/**
 * Turns files into rows of chunks: cut into tasks of neighbouring chunks, read and hashed by the threads, put together in order.
 *
 * Holes are found by asking the file system, so a sparse disk of any size costs only what it holds; many small files share one task.
 */
import { closeSync, constants, openSync } from "node:fs";
import { join } from "node:path";
import { FaultError } from "../domain/errors.ts";
import type { ChunkPool } from "./chunk-pool.ts";
import type { Piece, ReadResult } from "./chunk-work.ts";
import { errorCode, isAbsent, onDisk } from "./files.ts";
import { chunkBytes } from "./format.ts";
import { forEachLimited } from "./limited.ts";
import { dataExtents } from "./native.ts";
import { changed } from "./scan.ts";

/** 16 chunks of a task: enough to make the hand-over cheap, little enough to keep memory small. */
const taskBytes = 4 * 1024 * 1024;
/** Tiny files weigh more than their bytes: each is an open and a close. */
const pieceCostBytes = 64 * 1024;

/** The answer of one task. `bytes` is what it covers of the files, holes passed on the way included. */
export interface FileRows {
  readonly rows: readonly Buffer[];
  readonly stored: Uint32Array;
  readonly body: Uint8Array;
  readonly bytes: number;
}

interface FileSize {
  readonly path: string;
  readonly bytes: number;
}

export interface ChunkFilesAsk {
  readonly root: string;
  readonly files: readonly FileSize[];
  readonly pool: ChunkPool;
  /** The level of the moment, for chunks that are not known; false when hashes are all that is wanted. */
  readonly compress: (() => number) | false;
  readonly signal: AbortSignal;
}

interface Batch {
  readonly pieces: Piece[];
  readonly bytes: number;
}

/** Answers the rows of each file by its path; `onRows` sees them task by task, in no order, and slows the reading by its own pace. */
export async function chunkFiles(ask: ChunkFilesAsk, onRows?: (found: FileRows) => Promise<void>): Promise<Map<string, Buffer>> {
  const { files, pool, compress, signal } = ask;
  const parts = new Map<number, { firstIndex: number; rows: Buffer }[]>();
  await forEachLimited(batches(ask), pool.tasks, async ({ pieces, bytes }) => {
    signal.throwIfAborted();
    const result: ReadResult = await pool.read({ kind: "read", pieces, level: compress && compress() });
    const rows = result.rows.map((table) => Buffer.from(table.buffer, table.byteOffset, table.byteLength));
    pieces.forEach(({ file, firstIndex }, n) => {
      const of = parts.get(file) ?? [];
      of.push({ firstIndex, rows: rows[n] ?? Buffer.alloc(0) });
      parts.set(file, of);
    });
    await onRows?.({ rows, stored: result.stored, body: result.body, bytes });
    pool.giveBack(result);
  });
  return new Map(files.map(({ path }, file) => [path, inOrder(parts.get(file) ?? [])]));
}

const inOrder = (parts: { firstIndex: number; rows: Buffer }[]) =>
  Buffer.concat(parts.toSorted((a, b) => a.firstIndex - b.firstIndex).map(({ rows }) => rows));

async function* batches({ root, files, signal }: ChunkFilesAsk): AsyncGenerator<Batch> {
  let pieces: Piece[] = [];
  let [cost, bytes] = [0, 0];
  for (const [file, { path, bytes: size }] of files.entries()) {
    signal.throwIfAborted();
    let covered = 0;
    for (const { first, end } of await dataRuns(join(root, path), size)) {
      for (let at = first; at < end; at += taskBytes) {
        const lengthBytes = Math.min(taskBytes, end - at);
        pieces.push({ file, path: join(root, path), firstIndex: at / chunkBytes, lengthBytes });
        cost += lengthBytes + pieceCostBytes;
        bytes += at + lengthBytes - covered;
        covered = at + lengthBytes;
        if (cost < taskBytes) continue;
        yield { pieces, bytes };
        [pieces, cost, bytes] = [[], 0, 0];
      }
    }
    bytes += size - covered;
  }
  if (pieces.length > 0 || bytes > 0) yield { pieces, bytes };
}

/** Where a file holds data, widened to whole chunks and joined where these touch. */
async function dataRuns(path: string, size: number): Promise<{ first: number; end: number }[]> {
  if (size === 0) return [];
  const runs: { first: number; end: number }[] = [];
  for (const { offsetBytes, lengthBytes } of await extentsOf(path, size)) {
    const first = Math.floor(offsetBytes / chunkBytes) * chunkBytes;
    const end = Math.min(size, Math.ceil((offsetBytes + lengthBytes) / chunkBytes) * chunkBytes);
    const last = runs.at(-1);
    if (last && first <= last.end) last.end = end;
    else runs.push({ first, end });
  }
  return runs;
}

function extentsOf(path: string, size: number) {
  return onDisk(path, () => {
    let fd: number;
    try {
      fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    } catch (error) {
      if (isAbsent(error) || errorCode(error) === "ELOOP") throw changed(path, "vanished", error);
      if (errorCode(error) !== "EACCES") throw error;
      throw new FaultError(
        { code: "bundle_refused", message: `"${path}" may not be read by Drover: give it the right to.`, subject: path },
        { cause: error },
      );
    }
    try {
      return dataExtents(fd, size);
    } finally {
      closeSync(fd);
    }
  });
}
