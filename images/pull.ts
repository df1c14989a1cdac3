/**
 * Pull: an image in a store becomes a bundle on disk, in a folder beside its final place.
 *
 * Nothing is believed but hashes: what an earlier attempt or a seed left in the folder counts when it hashes right, so a pull resumes after a kill or a power cut
 * without a journal. Only chunks that differ are fetched, each is verified before it is written, and zero chunks become holes.
 */
import { chmod, lstat, mkdir, readdir, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { closeSync, openSync } from "node:fs";
import type { ObjectStore } from "../stores/object-store.ts";
import { chunkFiles } from "./chunk-files.ts";
import { openChunkPool, type ChunkPool } from "./chunk-pool.ts";
import { cloneFile, dress, makeLinks, type Attributes } from "./clone-file.ts";
import { fetchChunks } from "./fetch.ts";
import { rowSet, type Near } from "./near.ts";
import { fetchTogether } from "./swarm.ts";
import { onDisk, openFolders, syncPath, writeFully } from "./files.ts";
import { chunkBytes, chunkLength, sha256Hex } from "./format.ts";
import { imagePaths, type ImagePaths } from "./layout.ts";
import { forEachLimited } from "./limited.ts";
import { freeLine, type Line } from "./line.ts";
import { punchHole } from "./native.ts";
import { compareRows, type RowDifference } from "./rows.ts";
import { sealFolder } from "./seal.ts";
import { nearest, openSeeds, type Seed, type SeedFiles } from "./seeds.ts";
import { readImage, treeRows, type ImageRef, type StoredImage } from "./stored.ts";
import { rowBytes, rowCount, rowIndex, treeFiles, type FileEntry, type Tree } from "./tree.ts";
import { spansOf } from "./wanted.ts";

export interface PullProgress {
  readonly phase: "comparing" | "fetching" | "finishing";
  /** Plain bytes that are in place, holes included. */
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Bytes that came from the store in this attempt. */
  readonly fetchedBytes: number;
}

export interface PullAsk extends ImageRef {
  readonly store: Pick<ObjectStore, "read">;
  /** The folder to fill with `bundle/`, `tree` and `seal.json`; beside the final place, and this pull's own. */
  readonly targetPath: string;
  readonly seeds: readonly Seed[];
  /** Hosts nearby that have the image or fetch it too. */
  readonly near?: Near;
  /** What limits the bytes per second from the store. */
  readonly line?: Line;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: PullProgress) => void;
  /** Reads on their way at once. */
  readonly parallel?: number;
  readonly threads?: number;
}

export interface PullResult {
  readonly files: number;
  readonly logicalBytes: number;
  /** Bytes that came from the store in this attempt. */
  readonly fetchedBytes: number;
  /** Plain bytes that a seed or an earlier attempt had brought already. */
  readonly reusedBytes: number;
}

/** Eight reads of 4 MiB: enough for a distant store, and 32 MiB of memory. */
const defaultParallel = 8;
/** A seed's file on its way into the bundle. */
const asidePrefix = "cloning-";

/** A pull while it runs. */
interface Pull {
  readonly ask: PullAsk;
  readonly paths: ImagePaths;
  readonly image: StoredImage;
  readonly pool: ChunkPool;
  readonly totals: { doneBytes: number; readonly totalBytes: number; fetchedBytes: number };
}

export async function pullTree(ask: PullAsk): Promise<PullResult> {
  ask.signal.throwIfAborted();
  const pool = openChunkPool(ask.threads);
  try {
    pool.warm();
    const image = await readImage(ask.store, ask, ask.signal);
    const paths = imagePaths(ask.targetPath);
    const files = treeFiles(image.tree);
    const totalBytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const pull: Pull = { ask, paths, image, pool, totals: { doneBytes: 0, totalBytes, fetchedBytes: 0 } };
    report(pull, "comparing");
    await prepareFolders(paths, image);
    const wanted = await plan(pull, files);
    const reusedBytes = pull.totals.doneBytes - zeroBytes(files);
    report(pull, "fetching");
    await fetchInto(pull, wanted);
    report(pull, "finishing");
    await finish(paths, image.tree);
    return { files: files.length, logicalBytes: totalBytes, fetchedBytes: pull.totals.fetchedBytes, reusedBytes };
  } finally {
    await pool.close();
  }
}

/** The folders of the tree, open for writing, and nothing in them that the tree does not have. */
async function prepareFolders(paths: ImagePaths, { tree, treeBytes }: StoredImage): Promise<void> {
  const kinds = new Map(tree.entries.map(({ path, kind }) => [path, kind]));
  await onDisk(paths.bundle, async () => {
    await mkdir(paths.bundle, { recursive: true });
    await openFolders(paths.bundle);
    await rm(paths.seal, { force: true });
    for (const name of await readdir(paths.folder)) if (name.startsWith(asidePrefix)) await rm(join(paths.folder, name));
    await writeFile(paths.tree, treeBytes);
    await keepOnly(paths.bundle, "", kinds);
    for (const [path, kind] of kinds) if (kind === "folder") await mkdir(join(paths.bundle, path), { recursive: true, mode: 0o700 });
  });
}

async function keepOnly(root: string, folder: string, kinds: ReadonlyMap<string, string>): Promise<void> {
  for (const entry of await readdir(join(root, folder), { withFileTypes: true })) {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    const kind = entry.isFile() ? "file" : entry.isDirectory() ? "folder" : "other";
    // Links are always made anew at the end, so none is ever written through.
    if (kinds.get(path) !== kind) await rm(join(root, path), { recursive: true, force: true });
    else if (kind === "folder") await keepOnly(root, path, kinds);
  }
}

/** Brings each file as far as this host can by itself, and answers what must be fetched. */
async function plan(pull: Pull, files: readonly FileEntry[]): Promise<number[]> {
  const { ask, paths, pool } = pull;
  const present = await beginFiles(pull, files);
  const unsure = files.filter(({ path }) => present.get(path) === "unsure");
  const hashed = await chunkFiles({ root: paths.bundle, files: unsure, pool, compress: false, signal: ask.signal });
  const missing = new Map<string, RowDifference>();
  for (const file of files) {
    const known = present.get(file.path);
    const rows = known instanceof Buffer ? known : (hashed.get(file.path) ?? Buffer.alloc(0));
    const difference = compareRows(rows, file.rows);
    await clear(join(paths.bundle, file.path), file, difference.excess);
    missing.set(file.path, difference);
  }
  return missingRows(pull, files, missing);
}

/** Per file the rows that it surely has, or "unsure" when it must be hashed. */
async function beginFiles({ ask, paths }: Pull, files: readonly FileEntry[]): Promise<Map<string, Buffer | "unsure">> {
  const seeds = await openSeeds(ask.seeds);
  const present = new Map<string, Buffer | "unsure">();
  await forEachLimited(files, 2, async (file) => {
    const path = join(paths.bundle, file.path);
    present.set(file.path, await onDisk(path, () => beginFile(paths, path, file, seeds, ask.signal)));
  });
  return present;
}

async function beginFile(
  paths: ImagePaths,
  path: string,
  file: FileEntry,
  seeds: SeedFiles,
  signal: AbortSignal,
): Promise<Buffer | "unsure"> {
  const exists = await lstat(path).then(
    () => true,
    () => false,
  );
  const seed = exists ? null : nearest(file, seeds);
  if (seed) {
    // Cloned under another name first: a copy that a kill cut short is begun anew, since its seed is worth more than its beginning.
    const aside = join(paths.folder, `${asidePrefix}${sha256Hex(Buffer.from(file.path))}`);
    await rm(aside, { force: true });
    await cloneFile(seed.path, aside, signal);
    await rename(aside, path);
  } else if (!exists) await writeFile(path, "", { mode: 0o600, flag: "wx" });
  await chmod(path, 0o600);
  await truncate(path, file.bytes);
  if (seed?.sealed) return withinFile(seed.rows, file.bytes);
  return seed || exists ? "unsure" : Buffer.alloc(0);
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

/** Counts what is in place, and answers the numbers of the other rows in the whole tree. */
function missingRows({ totals }: Pull, files: readonly FileEntry[], missing: ReadonlyMap<string, RowDifference>): number[] {
  const rows: number[] = [];
  let firstRow = 0;
  for (const file of files) {
    totals.doneBytes += file.bytes;
    for (const row of missing.get(file.path)?.missing ?? []) {
      rows.push(firstRow + row);
      totals.doneBytes -= chunkLength(file.bytes, rowIndex(file.rows, row));
    }
    firstRow += rowCount(file.rows);
  }
  return rows;
}

async function fetchInto(pull: Pull, rows: readonly number[]): Promise<void> {
  const { ask, pool, totals, image } = pull;
  const onFetched = ({ fetchedBytes, plainBytes }: { fetchedBytes: number; plainBytes: number }) => {
    totals.fetchedBytes += fetchedBytes;
    totals.doneBytes += plainBytes;
    report(pull, "fetching");
  };
  const { store, signal, line = freeLine, parallel = defaultParallel } = ask;
  const fetching = { store, pool, line, signal, parallel, onFetched };
  const spans = spansOf(image, pull.paths.bundle, rows, { shared: ask.near !== undefined });
  if (!ask.near) return fetchChunks(fetching, spans);
  const own = { rows: rowSet(treeRows(image.tree)), taking: new Set<number>() };
  const missing = new Set(rows);
  for (let row = 0; row < own.rows.rows; row++) if (!missing.has(row)) own.rows.add(row);
  ask.near.begin(image.tree, own);
  await fetchTogether({ ...fetching, near: ask.near, own }, spans);
}

/** Everything on the disk, then modes and times; last the seal, which says that all of it was verified. */
async function finish(paths: ImagePaths, tree: Tree): Promise<void> {
  const entries = tree.entries.map((entry): Attributes => ({ ...entry, target: entry.kind === "link" ? entry.target : "" }));
  await makeLinks(paths.bundle, entries);
  await onDisk(paths.folder, async () => {
    for (const { kind, path } of entries) if (kind !== "link") await syncPath(join(paths.bundle, path));
    await syncPath(paths.bundle);
    await dress(paths.bundle, entries);
    await writeFile(paths.seal, JSON.stringify(await sealFolder(paths.bundle)), { flush: true });
    await syncPath(paths.tree);
    await syncPath(paths.folder);
  });
}

function zeroBytes(files: readonly FileEntry[]): number {
  let bytes = 0;
  for (const file of files) {
    bytes += file.bytes;
    for (let row = 0; row < rowCount(file.rows); row++) bytes -= chunkLength(file.bytes, rowIndex(file.rows, row));
  }
  return bytes;
}

function report({ ask, totals }: Pull, phase: PullProgress["phase"]): void {
  ask.onProgress?.({ phase, ...totals });
}
