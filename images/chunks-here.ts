/**
 * Chunks of an image that lies on this host, whole or still being fetched, for a neighbour that wants them.
 *
 * A chunk is read, hashed and only then handed out: so a place that was not written yet, or that rotted, is simply not there.
 */
import { hash } from "node:crypto";
import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { zstdCompress, constants as zlib } from "node:zlib";
import { isAbsent } from "./files.ts";
import { chunkBytes, chunkLength } from "./format.ts";
import type { RowPlace } from "./near.ts";

const compress = promisify(zstdCompress);
/** The quickest: on a local network time counts for more than bytes. */
const params = { [zlib.ZSTD_c_compressionLevel]: 1 };

/** The chunks one after the other, each compressed where that makes it shorter; length 0 for what is not here. */
export async function readChunks(bundle: string, places: readonly (RowPlace | null)[]): Promise<{ lengths: number[]; body: Buffer[] }> {
  const files = new Map<string, FileHandle | null>();
  try {
    const body: Buffer[] = [];
    const lengths: number[] = [];
    for (const place of places) {
      const chunk = place && (await readChunk(await fileOf(files, bundle, place.file.path), place));
      lengths.push(chunk?.byteLength ?? 0);
      if (chunk) body.push(chunk);
    }
    return { lengths, body };
  } finally {
    for (const file of files.values()) await file?.close();
  }
}

async function fileOf(files: Map<string, FileHandle | null>, bundle: string, path: string): Promise<FileHandle | null> {
  const known = files.get(path);
  if (known !== undefined) return known;
  const file = await open(join(bundle, path), constants.O_RDONLY | constants.O_NOFOLLOW).catch((error: unknown) => {
    if (isAbsent(error)) return null;
    throw error;
  });
  files.set(path, file);
  return file;
}

async function readChunk(file: FileHandle | null, { file: { bytes }, index, hash: name }: RowPlace): Promise<Buffer | null> {
  const plain = Buffer.allocUnsafe(chunkLength(bytes, index));
  const read = file && (await file.read(plain, 0, plain.byteLength, index * chunkBytes));
  if (read?.bytesRead !== plain.byteLength || !hash("sha256", plain, "buffer").equals(name)) return null;
  const packed = await compress(plain, { params });
  return packed.byteLength < plain.byteLength ? packed : plain;
}
