/**
 * The heavy work on chunks, as plain functions: what a worker thread runs for a push (read, hash, compress) and for a pull (decompress, verify, write).
 *
 * A chunk is written only after its plain bytes hashed to its name, and a file is read only up to what was announced, so neither side can be fooled.
 */
import { createHash } from "node:crypto";
import { closeSync, constants, openSync } from "node:fs";
import { zstdCompressSync, zstdDecompressSync, constants as zlib } from "node:zlib";
import { isKnown, type SharedHashes } from "./chunk-index.ts";
import { readFully, writeFully } from "./files.ts";
import { chunkBytes, hashBytes, isZero } from "./format.ts";
import { changed } from "./scan.ts";
import { rowBytes } from "./tree.ts";

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
  /** Whether chunks that are not known come back compressed, or hashes are all that is wanted. */
  readonly compress: boolean;
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

/** The chunks (by their number in the task) whose bytes are not what they should be; nothing of these was written. */
export interface PlaceResult {
  readonly wrong: readonly number[];
}

/** Level 3 stores 6 % less than level 1 and costs little more in Node, where each chunk begins with a new context anyway. */
const compression = {
  params: { [zlib.ZSTD_c_compressionLevel]: 3 },
  // Room for the longest form of a whole chunk: with Node's usual 16 KiB steps the pieces would be gathered and copied once more.
  chunkSize: chunkBytes + 8192,
};

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();

/** One per thread and used again by each task, because what is only garbage still counts as memory until it is collected. */
let scratch = Buffer.alloc(0);

export function readPieces({ pieces, compress, into }: ReadTask, known: SharedHashes | null): ReadResult {
  const stored: number[] = [];
  const totalBytes = pieces.reduce((sum, piece) => sum + piece.lengthBytes, 0);
  if (scratch.byteLength < totalBytes) scratch = Buffer.allocUnsafeSlow(totalBytes);
  // No chunk is stored longer than it is, so this always has room.
  const body = into && into.byteLength >= totalBytes ? into : new Uint8Array(compress ? totalBytes : 0);
  let [from, used] = [0, 0];
  const rows = pieces.map((piece) =>
    readPiece(piece, scratch.subarray(from, (from += piece.lengthBytes)), (chunk, hash) => {
      if (!compress) return;
      const form = known && isKnown(known, hash) ? null : storedForm(chunk);
      stored.push(form?.byteLength ?? 0);
      if (!form) return;
      body.set(form, used);
      used += form.byteLength;
    }),
  );
  return { rows, stored: Uint32Array.from(stored), body: body.subarray(0, used) };
}

/** A chunk that does not shrink is stored as it is: nothing is gained by unpacking it later. */
function storedForm(chunk: Buffer): Buffer {
  const packed = zstdCompressSync(chunk, compression);
  return packed.byteLength < chunk.byteLength ? packed : chunk;
}

function readPiece({ path, firstIndex, lengthBytes }: Piece, bytes: Buffer, onChunk: (chunk: Buffer, hash: Buffer) => void): Uint8Array {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    if (readFully(fd, bytes, firstIndex * chunkBytes) < lengthBytes) throw changed(path, "became shorter");
  } finally {
    closeSync(fd);
  }
  const rows: Buffer[] = [];
  for (let at = 0, index = firstIndex; at < lengthBytes; at += chunkBytes, index++) {
    const chunk = bytes.subarray(at, at + chunkBytes);
    if (isZero(chunk)) continue;
    const row = Buffer.allocUnsafe(rowBytes);
    const hash = sha256(chunk);
    row.writeUInt32LE(index, 0);
    hash.copy(row, 4, 0, hashBytes);
    rows.push(row);
    onChunk(chunk, hash);
  }
  return new Uint8Array(Buffer.concat(rows)); // In memory of its own: a Buffer would take its whole pool along to the other thread.
}

export function placeChunks({ body, chunks }: PlaceTask): PlaceResult {
  const wrong: number[] = [];
  const files = new Map<string, number>();
  try {
    chunks.forEach((chunk, n) => {
      const plain = plainForm(body.subarray(chunk.offset, chunk.offset + chunk.length), chunk.plainBytes);
      if (!plain || sha256(plain).compare(chunk.hash) !== 0) return void wrong.push(n);
      for (const { path, position } of chunk.targets) writeFully(fileOf(files, path), plain, position);
    });
  } finally {
    for (const fd of files.values()) closeSync(fd);
  }
  return { wrong };
}

function plainForm(stored: Uint8Array, plainBytes: number): Uint8Array | null {
  if (stored.byteLength === plainBytes) return stored;
  try {
    const plain = zstdDecompressSync(stored, { maxOutputLength: plainBytes, chunkSize: plainBytes + 1024 });
    return plain.byteLength === plainBytes ? plain : null;
  } catch {
    return null; // Not a compressed chunk, or one that would grow beyond its length: wrong bytes either way.
  }
}

function fileOf(files: Map<string, number>, path: string): number {
  const known = files.get(path);
  if (known !== undefined) return known;
  const fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW);
  files.set(path, fd);
  return fd;
}
