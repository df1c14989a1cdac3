/**
 * Writes one file as it streams in, and hashes its chunks on the way: the rows of a tree without reading anything back.
 *
 * The one idea: a chunk is looked at once, while it is in memory. Zero chunks are neither written nor counted, so full disks of an archive come out sparse.
 */
import { closeSync, constants, ftruncateSync, openSync } from "node:fs";
import { createHash } from "node:crypto";
import { onDisk, writeFully } from "../files.ts";
import { chunkBytes, isZero } from "../format.ts";
import { rowBytes } from "../tree.ts";

export interface WrittenFile {
  readonly rows: Buffer;
  readonly bytes: number;
}

/** `onData`: told of the bytes of each chunk that is not zero, before it is written. The file must not be there yet. */
export async function writeSparse(
  path: string,
  content: AsyncIterable<Uint8Array>,
  onData: (bytes: number) => void,
  signal: AbortSignal,
): Promise<WrittenFile> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const fd = await onDisk(path, () => openSync(path, flags, 0o600));
  const rows: Buffer[] = [];
  const chunk = Buffer.allocUnsafe(chunkBytes);
  let [index, filled] = [0, 0];
  const flush = async () => {
    const part = chunk.subarray(0, filled);
    if (!isZero(part)) {
      onData(filled);
      rows.push(rowOf(index, part));
      await onDisk(path, () => writeFully(fd, part, index * chunkBytes));
    }
    if (filled === chunkBytes) index++;
    filled = 0;
  };
  let bytes = 0;
  try {
    for await (const part of content) {
      signal.throwIfAborted();
      for (let at = 0; at < part.byteLength;) {
        const step = Math.min(part.byteLength - at, chunkBytes - filled);
        chunk.set(part.subarray(at, at + step), filled);
        [at, filled, bytes] = [at + step, filled + step, bytes + step];
        if (filled === chunkBytes) await flush();
      }
    }
    if (filled > 0) await flush();
    await onDisk(path, () => ftruncateSync(fd, bytes));
  } finally {
    closeSync(fd);
  }
  return { rows: Buffer.concat(rows), bytes };
}

function rowOf(index: number, chunk: Uint8Array): Buffer {
  const row = Buffer.alloc(rowBytes);
  row.writeUInt32LE(index, 0);
  createHash("sha256").update(chunk).digest().copy(row, 4);
  return row;
}
