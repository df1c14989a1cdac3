/**
 * The entries of an archive, one after the other: a tar, or a tar inside gzip, told apart by their first bytes and never by the name.
 *
 * The one idea: that service closes its gzip before its tar, so the end of the tar is missing there and the last entry is not filled up to a whole block. What is
 * missing is added here, and only as much as an honest archive lacks: one that ends in the middle of an entry is corrupt.
 */
import { createGunzip } from "node:zlib";
import { extract, type Header } from "tar-stream";
import { FaultError } from "../../domain/errors.ts";
import { diskFault } from "../files.ts";

export interface TarEntry {
  readonly header: Header;
  readonly content: AsyncIterable<Uint8Array>;
}

export interface TarWatch {
  /** Told of each part of the archive as it lies in the store. */
  onPacked(part: Uint8Array): void;
}

const blockBytes = 512;

/** Fails with `archive_corrupt` where the archive is no tar, is cut, or does not unpack. What of an entry's content was not read is passed over. */
export async function* tarEntries(name: string, packed: AsyncIterable<Uint8Array>, watch: TarWatch): AsyncGenerator<TarEntry> {
  const tail = { addedBytes: 0, lastBytes: 0 };
  const parser = extract();
  // The first failure is the cause; whoever reads in that moment hears only that the stream has ended.
  let failure: unknown;
  parser.on("error", (error) => (failure ??= error));
  const feeding = feed(parser, padded(name, unpacked(name, packed, watch), tail)).catch((error: unknown) => {
    failure ??= error;
    parser.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  const orCause = async function* <T>(parts: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* parts;
    } catch (error) {
      throw asCorrupt(name, failure ?? error);
    }
  };
  try {
    for await (const entry of orCause(parser)) {
      tail.lastBytes = entry.header.type === "directory" ? 0 : entry.header.size;
      yield { header: entry.header, content: orCause(entry as AsyncIterable<Uint8Array>) };
      entry.resume();
    }
  } finally {
    parser.destroy(null);
    await feeding;
  }
  // More than the last entry lacked of its own last block was missing from its content.
  if (tail.addedBytes > missingOf(tail.lastBytes)) throw corrupt(name, "it ends in the middle of a file");
}

const missingOf = (bytes: number): number => (blockBytes - (bytes % blockBytes)) % blockBytes;

async function feed(parser: ReturnType<typeof extract>, parts: AsyncIterable<Uint8Array>): Promise<void> {
  const gone = new Promise<void>((resolve) => parser.once("close", resolve));
  for await (const part of parts) {
    if (parser.destroyed) return;
    if (!parser.write(part)) await Promise.race([gone, new Promise<void>((resolve) => parser.once("drain", resolve))]);
  }
  parser.end(null);
}

/** Plain tar as it is, the inside of gzip else. */
async function* unpacked(name: string, packed: AsyncIterable<Uint8Array>, { onPacked }: TarWatch): AsyncGenerator<Uint8Array> {
  const parts = withBeginning(packed, onPacked);
  const beginning = (await parts.next()).value;
  if (!beginning) throw corrupt(name, "it is empty");
  async function* whole() {
    yield beginning as Uint8Array;
    yield* parts;
  }
  if (beginning[0] === 0x1f && beginning[1] === 0x8b) yield* gunzipped(whole());
  else if (Buffer.from(beginning).toString("latin1", 257, 262) === "ustar") yield* whole();
  else throw corrupt(name, "it begins neither as a tar nor as a gzip");
}

/** The first part holds at least one block, if there is as much. */
async function* withBeginning(packed: AsyncIterable<Uint8Array>, onPacked: TarWatch["onPacked"]): AsyncGenerator<Uint8Array, undefined> {
  let begun: Uint8Array | null = Buffer.alloc(0);
  for await (const part of packed) {
    onPacked(part);
    if (begun === null) yield part;
    else {
      begun = Buffer.concat([begun, part]);
      if (begun.byteLength < blockBytes) continue;
      yield begun;
      begun = null;
    }
  }
  if (begun !== null && begun.byteLength > 0) yield begun;
}

async function* gunzipped(packed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  // 256 KiB at a time: a chunk of the image format, and few hand-overs between threads.
  const gunzip = createGunzip({ chunkSize: 256 * 1024 });
  const feeding = (async () => {
    try {
      for await (const part of packed) {
        if (gunzip.destroyed) return;
        if (!gunzip.write(part)) await drained(gunzip);
      }
      gunzip.end();
    } catch (error) {
      gunzip.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  })();
  try {
    yield* gunzip as AsyncIterable<Uint8Array>;
  } finally {
    gunzip.destroy();
    await feeding;
  }
}

const drained = (stream: NodeJS.WritableStream & NodeJS.EventEmitter): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      stream.off("drain", done);
      stream.off("close", done);
      resolve();
    };
    stream.on("drain", done);
    stream.on("close", done);
  });

/** Fills the last block up. */
async function* padded(name: string, parts: AsyncIterable<Uint8Array>, tail: { addedBytes: number }): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const part of parts) {
    bytes += part.byteLength;
    yield part;
  }
  if (bytes < blockBytes) throw corrupt(name, "it holds nothing");
  tail.addedBytes = missingOf(bytes);
  if (tail.addedBytes > 0) yield Buffer.alloc(tail.addedBytes);
}

/** What the parsers throw has no words of ours; what is none of theirs passes. */
function asCorrupt(name: string, error: unknown): unknown {
  const restated = diskFault(name, error);
  if (restated instanceof FaultError || !(error instanceof Error) || error.name === "AbortError") return restated;
  const zlib = "code" in error && typeof error.code === "string" && error.code.startsWith("Z_");
  const parser = /tar header|Invalid header|Header exceeds|Unexpected end of data|Unknown.*format/i.test(error.message);
  if (!zlib && !parser) return error;
  return corrupt(name, zlib ? "it does not unpack to its end" : "it is cut, or no tar", error);
}

export function corrupt(name: string, problem: string, cause?: unknown): FaultError {
  return new FaultError({ code: "archive_corrupt", message: `The archive ${name} is corrupt: ${problem}.`, subject: name }, { cause });
}
