/**
 * The numbers and names of the image format that all its objects share.
 *
 * Chunks are aligned to the start of their file and divide the 1 MiB clusters of Parallels' expanding disks, so they follow what the guest itself changed.
 */
import { createHash } from "node:crypto";
import { FaultError } from "../domain/errors.ts";

/** 256 KiB: trees of different chunk sizes share nothing, so this number is part of the format. */
export const chunkBytes = 256 * 1024;
/** What a pack holds at most, and what is on its way to a store at most: few requests for a store, little to repeat after a kill. */
export const packBytes = 16 * 1024 * 1024;
/** No reader accepts more, so that nobody can make a host keep a huge object in memory. */
export const packLimitBytes = 64 * 1024 * 1024;
export const hashBytes = 32;
/** The version that this program writes, and the newest that it reads. */
export const formatVersion = 1;
/** Zeros for now: room for a key id, nonce and flags of encryption. A reader refuses what it cannot honour. */
export const reservedBytes = 32;
/** What every object of ours begins with: magic, version, reserved. */
export const commonHeadBytes = 12 + reservedBytes;

const root = ".drover/v1";
/** Packs lie in 256 folders, so that each can be listed apart and none grows huge. */
export const packFolder = (sha256: string) => `${root}/packs/${sha256.slice(0, 2)}/`;
export const packKey = (sha256: string) => `${packFolder(sha256)}${sha256}`;
export const treeKey = (digest: string) => `${root}/trees/${digest}`;
export const locationsKey = (digest: string, generation: number) => `${root}/locations/${digest}/${generation}`;

export const sha256Hex = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Plain bytes of one chunk: all chunks of a file but the last are full. */
export const chunkLength = (fileBytes: number, index: number): number => Math.min(chunkBytes, fileBytes - index * chunkBytes);
export const chunkCount = (fileBytes: number): number => Math.ceil(fileBytes / chunkBytes);

const zeros = Buffer.alloc(chunkBytes);
/** Whether a chunk is nothing but zeros, which is never stored: a hole says the same. */
export function isZero(chunk: Uint8Array): boolean {
  // Most data differs in its first bytes, so the full compare is rare.
  return chunk[0] === 0 && chunk[chunk.byteLength - 1] === 0 && zeros.compare(chunk, 0, chunk.byteLength, 0, chunk.byteLength) === 0;
}

export function corrupt(subject: string, problem: string, cause?: unknown): FaultError {
  return new FaultError({ code: "content_corrupt", message: `${subject} is corrupt: ${problem}.`, subject }, { cause });
}

/** The common head of trees and locations: magic, version, then the reserved bytes. */
export function writeHead(magic: string): Buffer {
  const head = Buffer.alloc(commonHeadBytes);
  head.write(magic, 0, 8, "latin1");
  head.writeUInt32LE(formatVersion, 8);
  return head;
}

/** Checks the head and answers what follows it; a newer version is refused by name. */
export function readHead(bytes: Buffer, magic: string, subject: string): Buffer {
  if (bytes.byteLength < 12 || bytes.toString("latin1", 0, 8) !== magic) throw corrupt(subject, "it does not begin as such an object does");
  const version = bytes.readUInt32LE(8);
  if (version > formatVersion) {
    throw new FaultError({
      code: "format_unknown",
      message: `${subject} has version ${version} of its format; this program reads up to ${formatVersion}.`,
      subject,
    });
  }
  const reserved = bytes.subarray(12, 12 + reservedBytes);
  if (version < 1 || reserved.byteLength < reservedBytes) throw corrupt(subject, "its head is cut or has no version");
  if (!isZero(reserved)) {
    throw new FaultError({
      code: "format_unknown",
      message: `${subject} is encrypted or uses a feature that this program does not know.`,
      subject,
    });
  }
  return bytes.subarray(commonHeadBytes);
}
