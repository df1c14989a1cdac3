/**
 * Pull: an image in a store becomes a bundle on disk, in a folder beside its final place.
 *
 * Nothing is believed but hashes: what an earlier attempt or a seed left in the folder counts when it hashes right, so a pull resumes after a kill or a power cut
 * without a journal. Only chunks that differ are fetched, each is verified before it is written, and zero chunks become holes.
 */
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ObjectStore } from "../stores/object-store.ts";
import { asidePrefix, beginFiles } from "./begin.ts";
import { openChunkPool, type ChunkPool } from "./chunk-pool.ts";
import { dress, makeLinks, type Attributes } from "./clone-file.ts";
import { fetchChunks } from "./fetch.ts";
import { rowSet, type Near } from "./near.ts";
import { fetchTogether } from "./swarm.ts";
import { onDisk, openFolders, syncEntries, syncPath } from "./files.ts";
import { chunkLength } from "./format.ts";
import { imagePaths, type ImagePaths } from "./layout.ts";
import { freeLine, type Line } from "./line.ts";
import type { RowDifference } from "./rows.ts";
import { sealFolder } from "./seal.ts";
import type { Seed } from "./seeds.ts";
import { readImage, treeRows, type ImageRef, type StoredImage } from "./stored.ts";
import { rowCount, rowIndex, treeFiles, type FileEntry, type Tree } from "./tree.ts";
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

/** A pull while it runs. */
interface Pull {
  readonly ask: PullAsk;
  readonly paths: ImagePaths;
  readonly image: StoredImage;
  readonly pool: ChunkPool;
  /** That of the ask, and ours when one part of the work fails while others still run. */
  readonly signal: AbortSignal;
  readonly totals: { doneBytes: number; readonly totalBytes: number; fetchedBytes: number };
}

export async function pullTree(ask: PullAsk): Promise<PullResult> {
  ask.signal.throwIfAborted();
  const pool = openChunkPool(ask.threads);
  const ours = new AbortController();
  const signal = AbortSignal.any([ask.signal, ours.signal]);
  try {
    pool.warm();
    const image = await readImage(ask.store, ask, ask.signal);
    const paths = imagePaths(ask.targetPath);
    const files = treeFiles(image.tree);
    const totalBytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const pull: Pull = { ask, paths, image, pool, signal, totals: { doneBytes: 0, totalBytes, fetchedBytes: 0 } };
    report(pull, "comparing");
    await prepareFolders(paths, image);
    const { differences, ready } = await beginFiles({ paths, seeds: ask.seeds, pool, signal }, files);
    const wanted = missingRows(pull, files, differences);
    const reusedBytes = pull.totals.doneBytes - zeroBytes(files);
    report(pull, "fetching");
    try {
      await fetchInto(pull, wanted, ready);
      await ready;
    } catch (error) {
      ours.abort();
      await Promise.allSettled([ready]);
      throw error;
    }
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

async function fetchInto(pull: Pull, rows: readonly number[], ready: Promise<void>): Promise<void> {
  const { ask, pool, signal, totals, image } = pull;
  const onFetched = ({ fetchedBytes, plainBytes }: { fetchedBytes: number; plainBytes: number }) => {
    totals.fetchedBytes += fetchedBytes;
    totals.doneBytes += plainBytes;
    report(pull, "fetching");
  };
  const { store, line = freeLine, parallel = defaultParallel } = ask;
  const fetching = { store, pool, line, signal, parallel, ready, onFetched };
  const spans = spansOf(image, pull.paths.bundle, rows, { shared: ask.near !== undefined });
  if (!ask.near) return fetchChunks(fetching, spans);
  // What is told to others is there.
  await ready;
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
    await syncEntries(paths.bundle, entries);
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
