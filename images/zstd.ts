/**
 * Compression of one chunk, into memory that the caller already has.
 *
 * Node makes a new context and a new buffer for each call, which costs a third of the time and most of the memory; its own zstd, called directly, works in one
 * context per thread. That context lies in a Buffer, so it goes with its thread. Where the calls are not to be had, Node's own do the same.
 */
import { zstdCompressSync, zstdDecompressSync, constants as zlib } from "node:zlib";
import koffi from "koffi";
import { chunkBytes } from "./format.ts";

/** Both answer how many bytes they wrote, or `null` when the result has no room in `into` or `from` is not compressed. */
interface Codec {
  compress(from: Uint8Array, into: Uint8Array): number | null;
  decompress(from: Uint8Array, into: Uint8Array): number | null;
}

/** Level 3 stores 6 % less than level 1 and costs little more. */
const level = 3;

let chosen: Codec | undefined;

export const compressInto: Codec["compress"] = (from, into) => codec().compress(from, into);
export const decompressInto: Codec["decompress"] = (from, into) => codec().decompress(from, into);

function codec(): Codec {
  return (chosen ??= direct() ?? builtIn);
}

/** The zstd that is part of the running Node, which exports its names. */
function direct(): Codec | null {
  try {
    const library = koffi.load(null);
    const compressorBytes = library.func("size_t ZSTD_estimateCCtxSize(int level)");
    const decompressorBytes = library.func("size_t ZSTD_estimateDCtxSize()");
    const compressor = Buffer.allocUnsafeSlow(Number(compressorBytes(level)));
    const decompressor = Buffer.allocUnsafeSlow(Number(decompressorBytes()));
    const compressing: unknown = library.func("void *ZSTD_initStaticCCtx(void *room, size_t bytes)")(compressor, compressor.byteLength);
    const decompressing: unknown = library.func("void *ZSTD_initStaticDCtx(void *room, size_t bytes)")(
      decompressor,
      decompressor.byteLength,
    );
    if (!compressing || !decompressing) return null;
    // Sizes that stand for an error are the highest there are: as signed numbers they are below zero.
    const compress = library.func("int64_t ZSTD_compressCCtx(void *context, void *into, size_t room, void *from, size_t bytes, int level)");
    const decompress = library.func("int64_t ZSTD_decompressDCtx(void *context, void *into, size_t room, void *from, size_t bytes)");
    const sized = (answer: unknown) => (Number(answer) < 0 ? null : Number(answer));
    // The Buffers are the contexts themselves: named here so that they live as long as the calls.
    const rooms = { compressor, decompressor };
    return {
      compress: (from, into) => sized(compress(rooms.compressor, into, into.byteLength, from, from.byteLength, level)),
      decompress: (from, into) => sized(decompress(rooms.decompressor, into, into.byteLength, from, from.byteLength)),
    };
  } catch {
    return null; // No such library or no such names: Node's own calls are right, only slower.
  }
}

/** Room for the longest form of a whole chunk: with Node's usual 16 KiB steps the pieces would be gathered and copied once more. */
const stepBytes = chunkBytes + 8192;

const builtIn: Codec = {
  compress: (from, into) =>
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
