/**
 * Writes an archive as the Parallels DevOps service does: a tar of plain files, or that inside gzip.
 *
 * The one idea: what its own archives show is what is written (names with a leading slash, no folders, no owner, no time), so that its oldest release reads it; only
 * the end of the tar, which its own gzip loses, is there.
 */
import { once } from "node:events";
import { createGzip } from "node:zlib";
import { pack, type Pack } from "tar-stream";
import { compressLevel } from "./manifest.ts";

export interface PackedFile {
  readonly path: string;
  readonly mode: number;
  readonly bytes: number;
  content(): AsyncIterable<Uint8Array>;
}

/** Longer names do not fit the plain header, whose way of splitting them loses the leading slash. */
const plainNameBytes = 100;

export async function* archiveBytes(files: readonly PackedFile[], compress: boolean): AsyncGenerator<Uint8Array> {
  if (compress) yield* gzipped(tarBytes(files));
  else yield* tarBytes(files);
}

async function* tarBytes(files: readonly PackedFile[]): AsyncGenerator<Uint8Array> {
  const tar = pack();
  const feeding = feed(tar, files).catch((error: unknown) => tar.destroy(error instanceof Error ? error : new Error(String(error))));
  try {
    for await (const part of tar) yield part as Uint8Array;
  } finally {
    tar.destroy(null);
    await feeding;
  }
}

async function feed(tar: Pack, files: readonly PackedFile[]): Promise<void> {
  for (const file of files) {
    if (tar.destroyed) return;
    const name = `/${file.path}`;
    const long = Buffer.byteLength(name) > plainNameBytes ? { pax: {} } : {};
    const ended = Promise.withResolvers<void>();
    // It fails with the whole tar, whose reader is told.
    ended.promise.catch(() => undefined);
    const header = { name, size: file.bytes, mode: file.mode, mtime: new Date(0), type: "file", ...long } as const;
    const entry = tar.entry(header, (error) => (error ? ended.reject(error) : ended.resolve()));
    for await (const part of file.content()) {
      if (tar.destroyed) return;
      if (!entry.write(part)) await Promise.race([new Promise((resolve) => entry.once("drain", () => resolve(null))), ended.promise]);
    }
    entry.end(null);
    await ended.promise;
  }
  tar.finalize();
}

async function* gzipped(parts: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gzip = createGzip({ level: compressLevel, chunkSize: 256 * 1024 });
  const feeding = (async () => {
    try {
      for await (const part of parts) {
        if (gzip.destroyed) return;
        if (!gzip.write(part)) await Promise.race([once(gzip, "drain"), once(gzip, "close")]);
      }
      gzip.end();
    } catch (error) {
      gzip.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  })();
  try {
    yield* gzip as AsyncIterable<Uint8Array>;
  } finally {
    gzip.destroy();
    await feeding;
  }
}
