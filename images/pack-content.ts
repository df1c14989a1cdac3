/**
 * What a pack holds, compared with its name and with the chunks that trees expect in it.
 *
 * A pack is named by its SHA-256, so a flipped bit anywhere shows; its chunks show whether any tree is hurt by it.
 */
import { createHash, hash } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { readAll, type ObjectStore } from "../stores/object-store.ts";
import { chunkBytes, packKey, packLimitBytes } from "./format.ts";
import type { PackRef } from "./locations.ts";
import type { PackRow } from "./pack-rows.ts";
import { decompressInto } from "./zstd.ts";

export async function readPack(
  store: Pick<ObjectStore, "read">,
  { sha256 }: Pick<PackRef, "sha256">,
  signal: AbortSignal,
): Promise<Buffer> {
  const key = packKey(sha256);
  return readAll(await store.read(key, null, signal), key, packLimitBytes);
}

/** Some milliseconds of work: in between, whoever else lives in this process has a turn. */
const turnBytes = 2 * 1024 * 1024;

export async function hasName(pack: Buffer, sha256: string): Promise<boolean> {
  const digest = createHash("sha256");
  for (let at = 0; at < pack.byteLength; at += turnBytes) {
    digest.update(pack.subarray(at, at + turnBytes));
    await turn();
  }
  return digest.digest("hex") === sha256;
}

/** The rows whose chunk is not in the pack where it should be. */
export async function wrongRows(pack: Buffer, rows: readonly PackRow[]): Promise<PackRow[]> {
  const wrong: PackRow[] = [];
  let done = 0;
  for (const row of rows) {
    if (!holdsChunk(pack, row)) wrong.push(row);
    done += row.plainBytes;
    if (done < turnBytes) continue;
    done = 0;
    await turn();
  }
  return wrong;
}

const unpacked = Buffer.allocUnsafeSlow(chunkBytes);

export function holdsChunk(pack: Buffer, { offset, length, plainBytes, hash: name }: PackRow): boolean {
  if (offset + length > pack.byteLength) return false;
  const stored = pack.subarray(offset, offset + length);
  const plain = length === plainBytes ? stored : unpack(stored, plainBytes);
  return plain !== null && hash("sha256", plain, "buffer").equals(name);
}

function unpack(stored: Buffer, plainBytes: number): Buffer | null {
  if (plainBytes > chunkBytes) return null;
  const plain = unpacked.subarray(0, plainBytes);
  return decompressInto(stored, plain) === plainBytes ? plain : null;
}
