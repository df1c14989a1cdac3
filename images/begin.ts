/**
 * The files of a pull as far as this host can bring them by itself: what an earlier attempt left, what a seed has, or nothing yet.
 *
 * The one idea: what a sealed seed holds is known before it is copied. So on a disk that cannot clone, what is missing comes over the line while the copies are
 * still being made, and waits for them only to be written.
 */
import { chmod, lstat, rename, rm, truncate, writeFile } from "node:fs/promises";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { chunkFiles } from "./chunk-files.ts";
import type { ChunkPool } from "./chunk-pool.ts";
import { cloneFile } from "./clone-file.ts";
import { onDisk, writeFully } from "./files.ts";
import { chunkBytes, chunkLength, sha256Hex } from "./format.ts";
import type { ImagePaths } from "./layout.ts";
import { forEachLimited } from "./limited.ts";
import { punchHole } from "./native.ts";
import { compareRows, type RowDifference } from "./rows.ts";
import { nearest, openSeeds, type Seed, type SeedFile, type SeedFiles } from "./seeds.ts";
import { rowBytes, rowCount, rowIndex, type FileEntry } from "./tree.ts";

export interface BeginAsk {
  readonly paths: ImagePaths;
  readonly seeds: readonly Seed[];
  readonly pool: ChunkPool;
  readonly signal: AbortSignal;
}

export interface Begun {
  /** By path, what the file lacks. */
  readonly differences: ReadonlyMap<string, RowDifference>;
  /** Before it nothing may be written to any file. Whoever begins waits for it, also where all else failed. */
  readonly ready: Promise<void>;
}

interface Beginning {
  readonly file: FileEntry;
  readonly path: string;
  readonly exists: boolean;
  readonly seed: SeedFile | null;
}

/** A seed's file on its way into the bundle. */
export const asidePrefix = "cloning-";
/** The disk is the limit; a copy that the system does not make by itself holds a step in memory. */
const copiesAtOnce = 2;
const looksAtOnce = 8;

export async function beginFiles(ask: BeginAsk, files: readonly FileEntry[]): Promise<Begun> {
  const { paths, pool, signal } = ask;
  const beginnings = await lookAt(paths, files, await openSeeds(ask.seeds));
  const begun = forEachLimited(beginnings, copiesAtOnce, (one) => onDisk(one.path, () => beginFile(paths, one, signal)));
  begun.catch(() => undefined); // Met where it is awaited.
  const unsure = beginnings.filter(isUnsure).map(({ file }) => file);
  if (unsure.length > 0) await begun;
  const hashed = await chunkFiles({ root: paths.bundle, files: unsure, pool, compress: false, signal });
  const differences = new Map<string, RowDifference>();
  for (const { file, seed } of beginnings) {
    const rows = hashed.get(file.path) ?? withinFile(seed?.rows ?? Buffer.alloc(0), file.bytes);
    differences.set(file.path, compareRows(rows, file.rows));
  }
  const ready = begun.then(async () => {
    for (const { file, path } of beginnings) await clear(path, file, differences.get(file.path)?.excess ?? []);
  });
  ready.catch(() => undefined); // So is this one.
  return { differences, ready };
}

async function lookAt(paths: ImagePaths, files: readonly FileEntry[], seeds: SeedFiles): Promise<Beginning[]> {
  const found: Beginning[] = [];
  await forEachLimited(files, looksAtOnce, async (file) => {
    const path = join(paths.bundle, file.path);
    const exists = await lstat(path).then(
      () => true,
      () => false,
    );
    found.push({ file, path, exists, seed: exists ? null : nearest(file, seeds) });
  });
  return found;
}

/** Only its bytes tell what it holds. */
const isUnsure = ({ exists, seed }: Beginning): boolean => exists || (seed !== null && !seed.sealed);

async function beginFile(paths: ImagePaths, { file, path, exists, seed }: Beginning, signal: AbortSignal): Promise<void> {
  if (seed) {
    // Cloned under another name first: a copy that a kill cut short is begun anew, since its seed is worth more than its beginning.
    const aside = join(paths.folder, `${asidePrefix}${sha256Hex(Buffer.from(file.path))}`);
    await rm(aside, { force: true });
    await cloneFile(seed.path, aside, signal, { toDisk: true });
    await rename(aside, path);
  } else if (!exists) await writeFile(path, "", { mode: 0o600, flag: "wx" });
  await chmod(path, 0o600);
  await truncate(path, file.bytes);
}

/** The rows of a seed that is longer end where the file was cut. */
function withinFile(rows: Buffer, bytes: number): Buffer {
  let count = rowCount(rows);
  while (count > 0 && rowIndex(rows, count - 1) * chunkBytes >= bytes) count--;
  return rows.subarray(0, count * rowBytes);
}

/** Makes chunks holes again that should hold nothing. */
async function clear(path: string, file: FileEntry, excess: readonly number[]): Promise<void> {
  if (excess.length === 0) return;
  await onDisk(path, () => {
    const fd = openSync(path, "r+");
    try {
      for (const index of excess) {
        const length = chunkLength(file.bytes, index);
        if (!punchHole(fd, index * chunkBytes, length)) writeFully(fd, Buffer.alloc(length), index * chunkBytes);
      }
    } finally {
      closeSync(fd);
    }
  });
}
