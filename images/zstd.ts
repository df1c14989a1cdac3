/**
 * Compression of one chunk, into memory that the caller already has.
 *
 * Node makes a new context and a new buffer for each call, which costs a third of the time and most of the memory; its own zstd, called directly, works in one
 * context per thread. That context lies in a Buffer, so it goes with its thread. Where the calls are not to be had, Node's own do the same.
 */
import { zstdCompressSync, zstdDecompressSync, constants as zlib } from "node:zlib";
import koffi, { type LibraryHandle } from "koffi";
import { chunkBytes } from "./format.ts";

/** Both answer how many bytes they wrote, or `null` when the result has no room in `into` or `from` is not compressed. */
export interface Codec {
  compress(from: Uint8Array, into: Uint8Array, level: number): number | null;
  decompress(from: Uint8Array, into: Uint8Array): number | null;
}

let chosen: Codec | undefined;

export const compressInto: Codec["compress"] = (from, into, level) => codec().compress(from, into, level);
export const decompressInto: Codec["decompress"] = (from, into) => codec().decompress(from, into);

function codec(): Codec {
  return (chosen ??= directCodec() ?? builtInCodec);
}

/** The zstd that is part of the running Node, which exports its names; for chunks of at most so many bytes. */
export function directCodec(largestBytes = chunkBytes): Codec | null {
  try {
    const library = koffi.load(null);
    const compressing = contexts(library, largestBytes);
    const decompressorBytes = library.func("size_t ZSTD_estimateDCtxSize()");
    const decompressor = Buffer.allocUnsafeSlow(Number(decompressorBytes()));
    const begun: unknown = library.func("void *ZSTD_initStaticDCtx(void *room, size_t bytes)")(decompressor, decompressor.byteLength);
    if (!begun) return null;
    // Sizes that stand for an error are the highest there are: as signed numbers they are below zero.
    const compress = library.func("int64_t ZSTD_compressCCtx(void *context, void *into, size_t room, void *from, size_t bytes, int level)");
    const decompress = library.func("int64_t ZSTD_decompressDCtx(void *context, void *into, size_t room, void *from, size_t bytes)");
    const sized = (answer: unknown) => (Number(answer) < 0 ? null : Number(answer));
    // The Buffer is the context itself: named here so that it lives as long as the calls.
    const rooms = { decompressor };
    return {
      compress: (from, into, level) => sized(compress(compressing(level), into, into.byteLength, from, from.byteLength, level)),
      decompress: (from, into) => sized(decompress(rooms.decompressor, into, into.byteLength, from, from.byteLength)),
    };
  } catch {
    return null; // No such library or no such names: Node's own calls are right, only slower.
  }
}

/** One context for the last level that was asked for: as large as a chunk at that level needs, where the general one would be several times that. */
function contexts(library: LibraryHandle, largestBytes: number): (level: number) => Buffer {
  const fields = ["windowLog", "chainLog", "hashLog", "searchLog", "minMatch", "targetLength", "strategy"];
  const Parameters = koffi.struct(Object.fromEntries(fields.map((name) => [name, "uint32"])));
  const parameters = library.func("ZSTD_getCParams", Parameters, ["int", "uint64", "size_t"]);
  const bytesFor = library.func("ZSTD_estimateCCtxSize_usingCParams", "size_t", [Parameters]);
  const begin = library.func("void *ZSTD_initStaticCCtx(void *room, size_t bytes)");
  let held: { readonly level: number; readonly room: Buffer } | null = null;
  return (level) => {
    if (held?.level === level) return held.room;
    const room = Buffer.allocUnsafeSlow(Number(bytesFor(parameters(level, largestBytes, 0))));
    const begun: unknown = begin(room, room.byteLength);
    if (!begun) throw new Error(`zstd takes no context of ${room.byteLength} bytes.`);
    held = { level, room };
    return room;
  };
}

/** Room for the longest form of a whole chunk: with Node's usual 16 KiB steps the pieces would be gathered and copied once more. */
const stepBytes = chunkBytes + 8192;

export const builtInCodec: Codec = {
  compress: (from, into, level) =>
    copied(zstdCompressSync(from, { params: { [zlib.ZSTD_c_compressionLevel]: level }, chunkSize: stepBytes }), into),
  decompress: (from, into) => {
    try {
      return copied(zstdDecompressSync(from, { maxOutputLength: Math.max(1, into.byteLength), chunkSize: stepBytes }), into);
    } catch {
      return null; // Not a compressed chunk, or one that would grow beyond its room.
    }
  },
};

function copied(bytes: Uint8Array, into: Uint8Array): number | null {
  if (bytes.byteLength > into.byteLength) return null;
  into.set(bytes);
  return bytes.byteLength;
}
