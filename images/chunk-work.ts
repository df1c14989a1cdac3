/**
 * The heavy work on chunks, as plain functions: what a worker thread runs for a push (read, hash, compress), for a pull (decompress, verify, write), and for
 * the files of an archive (hash, write).
 *
 * A chunk is written only after its plain bytes hashed to its name, and a file is read only up to what was announced, so neither side can be fooled.
 */
import { hash } from "node:crypto";
import { closeSync, constants, openSync } from "node:fs";
import { isKnown, type SharedHashes } from "./chunk-index.ts";
import { readFully, writeFully } from "./files.ts";
import { chunkBytes, hashBytes, isZero } from "./format.ts";
import { changed } from "./scan.ts";
import { rowBytes } from "./tree.ts";
import { compressInto, decompressInto } from "./zstd.ts";

/** A run of neighbouring chunks of one file. */
export interface Piece {
  /** Whose piece this is; the caller's own number. */
  readonly file: number;
  readonly path: string;
  readonly firstIndex: number;
  readonly lengthBytes: number;
}

export interface ReadTask {
  readonly kind: "read";
  readonly pieces: readonly Piece[];
  /** How hard chunks that are not known are compressed; false when hashes are all that is wanted. */
  readonly level: number | false;
  /** Memory of an earlier answer to be used again. */
  readonly into?: Uint8Array<ArrayBuffer>;
}

/** Per piece: rows as in a tree. `stored` has, per row of all pieces, how long it is in `body`: 0 for what was known. */
export interface ReadResult {
  readonly rows: readonly Uint8Array[];
  readonly stored: Uint32Array;
  readonly body: Uint8Array<ArrayBuffer>;
}

export interface PlacedChunk {
  readonly offset: number;
  readonly length: number;
  readonly plainBytes: number;
  readonly hash: Uint8Array;
  readonly targets: readonly { readonly path: string; readonly position: number }[];
}

export interface PlaceTask {
  readonly kind: "place";
  readonly body: Uint8Array<ArrayBuffer>;
  readonly chunks: readonly PlacedChunk[];
}

/** The chunks (by their number in the task) whose bytes are not what they should be; nothing of these was written. The body comes back to be used again. */
export interface PlaceResult {
  readonly wrong: readonly number[];
  readonly body: Uint8Array<ArrayBuffer>;
}

/** Neighbouring chunks of one file as they came, to be written and hashed. */
export interface WriteTask {
  readonly kind: "write";
  readonly path: string;
  readonly firstIndex: number;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** Rows as in a tree, of the chunks that are not zero: only these were written. The body comes back to be used again. */
export interface WriteResult {
  readonly rows: Uint8Array;
  readonly dataBytes: number;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** One chunk at a time, in the same memory for all: it stays in the processor's cache from the disk to the compressor, and makes no garbage. */
const scratch = Buffer.allocUnsafeSlow(chunkBytes);

export function readPieces({ pieces, level, into }: ReadTask, known: SharedHashes | null): ReadResult {
  const stored: number[] = [];
  const totalBytes = pieces.reduce((sum, piece) => sum + piece.lengthBytes, 0);
  // No chunk is stored longer than it is, so this always has room.
  const body = into && into.byteLength >= totalBytes ? into : new Uint8Array(level === false ? 0 : totalBytes);
  let used = 0;
  const rows = pieces.map((piece) =>
    readPiece(piece, (chunk, name) => {
      if (level === false) return;
      const bytes = known && isKnown(known, name) ? 0 : store(chunk, body.subarray(used), level);
      stored.push(bytes);
      used += bytes;
    }),
  );
  return { rows, stored: Uint32Array.from(stored), body: body.subarray(0, used) };
}

/** A chunk that does not shrink is stored as it is: nothing is gained by unpacking it later. */
function store(chunk: Buffer, into: Uint8Array, level: number): number {
  const packedBytes = compressInto(chunk, into.subarray(0, chunk.byteLength - 1), level);
  if (packedBytes === null) into.set(chunk);
  return packedBytes ?? chunk.byteLength;
}

function readPiece({ path, firstIndex, lengthBytes }: Piece, onChunk: (chunk: Buffer, name: Buffer) => void): Uint8Array {
  const rows = new Uint8Array(Math.ceil(lengthBytes / chunkBytes) * rowBytes);
  const table = Buffer.from(rows.buffer);
  let end = 0;
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    for (let at = 0, index = firstIndex; at < lengthBytes; at += chunkBytes, index++) {
      const chunk = scratch.subarray(0, Math.min(chunkBytes, lengthBytes - at));
      if (readFully(fd, chunk, index * chunkBytes) < chunk.byteLength) throw changed(path, "became shorter");
      if (isZero(chunk)) continue;
      const name = hash("sha256", chunk, "buffer");
      table.writeUInt32LE(index, end);
      name.copy(table, end + 4, 0, hashBytes);
      end += rowBytes;
      onChunk(chunk, name);
    }
  } finally {
    closeSync(fd);
  }
  return rows.subarray(0, end);
}

/** Plain bytes of one chunk on its way to the disk. */
const unpacked = Buffer.allocUnsafeSlow(chunkBytes);

export function placeChunks({ body, chunks }: PlaceTask): PlaceResult {
  const wrong: number[] = [];
  const files = new Map<string, number>();
  try {
    chunks.forEach((chunk, n) => {
      const plain = plainForm(body.subarray(chunk.offset, chunk.offset + chunk.length), chunk.plainBytes);
      if (!plain || hash("sha256", plain, "buffer").compare(chunk.hash) !== 0) return void wrong.push(n);
      for (const { path, position } of chunk.targets) writeFully(fileOf(files, path), plain, position);
    });
  } finally {
    for (const fd of files.values()) closeSync(fd);
  }
  return { wrong, body };
}

/** The file must be there already. */
export function writeChunks({ path, firstIndex, body }: WriteTask): WriteResult {
  const table = Buffer.alloc(Math.ceil(body.byteLength / chunkBytes) * rowBytes);
  let [end, dataBytes] = [0, 0];
  const fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW);
  try {
    for (let at = 0, index = firstIndex; at < body.byteLength; at += chunkBytes, index++) {
      const chunk = body.subarray(at, Math.min(at + chunkBytes, body.byteLength));
      if (isZero(chunk)) continue;
      writeFully(fd, chunk, index * chunkBytes);
      table.writeUInt32LE(index, end);
      hash("sha256", chunk, "buffer").copy(table, end + 4, 0, hashBytes);
      [end, dataBytes] = [end + rowBytes, dataBytes + chunk.byteLength];
    }
  } finally {
    closeSync(fd);
  }
  return { rows: Uint8Array.from(table.subarray(0, end)), dataBytes, body };
}

/** `null`: not a compressed chunk, or one that would grow beyond its length; wrong bytes either way. */
function plainForm(stored: Uint8Array, plainBytes: number): Uint8Array | null {
  if (stored.byteLength === plainBytes) return stored;
  const plain = unpacked.subarray(0, plainBytes);
  return decompressInto(stored, plain) === plainBytes ? plain : null;
}

function fileOf(files: Map<string, number>, path: string): number {
  const known = files.get(path);
  if (known !== undefined) return known;
  const fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW);
  files.set(path, fd);
  return fd;
}
