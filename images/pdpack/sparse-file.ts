/**
 * Writes one file as it streams in, and hashes its chunks on the way: the rows of a tree without reading anything back.
 *
 * The one idea: a chunk is looked at once, while it is in memory, and by another thread than the one that reads the archive, whose time is the dearest. Zero chunks
 * are neither written nor counted, so full disks of an archive come out sparse.
 */
import { closeSync, constants, openSync } from "node:fs";
import { truncate } from "node:fs/promises";
import type { ChunkPool } from "../chunk-pool.ts";
import { writeChunks, type WriteResult, type WriteTask } from "../chunk-work.ts";
import { onDisk } from "../files.ts";
import { chunkBytes } from "../format.ts";

export interface WrittenFile {
  readonly rows: Buffer;
  readonly bytes: number;
}

interface Writing {
  readonly path: string;
  readonly content: AsyncIterable<Uint8Array>;
  /** What its header tells. */
  readonly bytes: number;
  /** Asked for with the first body that is full: an archive of small files needs no thread. */
  readonly pool: () => ChunkPool;
  /** Told of each part of the content as it comes; what came before it is not looked at any more. */
  readonly onReached: (part: Uint8Array) => void;
  /** Told of the bytes of chunks that are not zero, while they are written. */
  readonly onData: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** Long enough that a thread's turn costs little beside the work. */
const bodyBytes = 8 * chunkBytes;

/** The file must not be there yet. */
export async function writeSparse(writing: Writing): Promise<WrittenFile> {
  const { path, content, pool, onReached, onData, signal } = writing;
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  await onDisk(path, () => closeSync(openSync(path, flags, 0o600)));
  const threads = bodiesInThreads(writing);
  let body = new Uint8Array(0);
  let [filled, bytes] = [0, 0];
  try {
    for await (const part of content) {
      signal.throwIfAborted();
      onReached(part);
      for (let at = 0; at < part.byteLength;) {
        if (body.byteLength === 0) body = memoryFor(writing.bytes - bytes, bytes === 0 ? null : pool());
        const step = Math.min(part.byteLength - at, body.byteLength - filled);
        body.set(part.subarray(at, at + step), filled);
        [at, filled, bytes] = [at + step, filled + step, bytes + step];
        if (filled < bodyBytes) continue;
        await threads.send({ kind: "write", path, firstIndex: (bytes - filled) / chunkBytes, body });
        [body, filled] = [new Uint8Array(0), 0];
      }
    }
    const last: WriteTask = { kind: "write", path, firstIndex: (bytes - filled) / chunkBytes, body: body.subarray(0, filled) };
    const end = filled > 0 ? rowsOf(await onDisk(path, () => writeChunks(last)), onData) : new Uint8Array(0);
    const rows = Buffer.concat([...(await threads.rows()), end]);
    await onDisk(path, () => truncate(path, bytes));
    return { rows, bytes };
  } finally {
    await threads.settle();
  }
}

/** A stream that gives more than its header tells is none that a tar has. */
function memoryFor(leftBytes: number, pool: ChunkPool | null): Uint8Array<ArrayBuffer> {
  if (leftBytes <= 0) throw new Error("An entry has more content than its header tells.");
  const bytes = Math.min(bodyBytes, leftBytes);
  return pool ? pool.memory(bytes) : new Uint8Array(bytes);
}

/** Full bodies on their way through the threads, as many as keep these busy. */
function bodiesInThreads({ pool, onData }: Pick<Writing, "pool" | "onData">) {
  const written: Promise<Uint8Array>[] = [];
  const underWay = new Set<Promise<unknown>>();
  const failures: Error[] = [];
  return {
    send: async (task: WriteTask) => {
      const done = pool()
        .write(task)
        .then((result) => {
          pool().giveBack(result);
          return rowsOf(result, onData);
        });
      const seen: Promise<unknown> = done.catch((error: Error) => failures.push(error)).finally(() => underWay.delete(seen));
      underWay.add(seen);
      written.push(done);
      if (underWay.size >= pool().tasks) await Promise.race(underWay);
      // What is wrong with one body ends the others: an archive may be a bomb.
      if (failures[0]) throw failures[0];
    },
    rows: () => Promise.all(written),
    settle: () => Promise.all(underWay),
  };
}

function rowsOf({ rows, dataBytes }: WriteResult, onData: Writing["onData"]): Uint8Array {
  onData(dataBytes);
  return rows;
}
