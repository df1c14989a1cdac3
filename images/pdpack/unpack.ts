/**
 * Makes an image of ours from an archive of the Parallels DevOps service: unpacked, verified, with a tree and a seal, in a folder that nobody looks at yet.
 *
 * The one idea: the archive streams through once, and what it holds decides the tree alone, so the same archive has the same digest on every host. What is wrong
 * leaves nothing. A gzip has no middle, so an attempt after a kill unpacks from the beginning; what it had fetched, it need not fetch again.
 */
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FaultError } from "../../domain/errors.ts";
import { openChunkPool, type ChunkPool } from "../chunk-pool.ts";
import { dress, makeLinks, type Attributes } from "../clone-file.ts";
import { onDisk, removeFolder, syncEntries, syncPath } from "../files.ts";
import { imagePaths, type ImagePaths } from "../layout.ts";
import { linkTargetInside } from "../paths.ts";
import { sealFolder } from "../seal.ts";
import { encodeTree, type TreeEntry } from "../tree.ts";
import {
  entryLimit,
  impliedFolder,
  logicalLimitBytes,
  openAdmission,
  ratioLimit,
  refused,
  type Admission,
  type Admitted,
} from "./admission.ts";
import { openMd5 } from "./md5.ts";
import { openRangeMemory } from "./range-memory.ts";
import { rangeBytes, readAhead, type ArchiveSource } from "./read-ahead.ts";
import { writeSparse, type WrittenFile } from "./sparse-file.ts";
import { openSpool, removeSpool, type Spool } from "./spool.ts";
import { corrupt, tarEntries } from "./tar-entries.ts";

export interface UnpackProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface UnpackAsk {
  readonly source: ArchiveSource;
  /** Of the archive as it lies in the store; null where its manifest tells none. */
  readonly md5: string | null;
  /** What its manifest tells of all files. `exact`: measured by a push. */
  readonly told: { readonly logicalBytes: number; readonly exact: boolean };
  /** This unpacking's own, as a pull fills it: `bundle/`, `tree`, `seal.json`. */
  readonly targetPath: string;
  readonly signal: AbortSignal;
  /** In bytes of the archive. */
  readonly onProgress?: (progress: UnpackProgress) => void;
}

export interface Unpacked {
  readonly digest: string;
  readonly files: number;
  readonly logicalBytes: number;
  /** Bytes of chunks that are not zero. */
  readonly dataBytes: number;
}

export async function unpackArchive(ask: UnpackAsk): Promise<Unpacked> {
  const paths = imagePaths(ask.targetPath);
  await clear(paths);
  await onDisk(paths.bundle, () => mkdir(paths.bundle, { recursive: true }));
  const { source, told } = ask;
  const spool = await openSpool({ folder: paths.folder, rangeBytes, archiveBytes: source.bytes, otherBytes: told.logicalBytes });
  try {
    return await unpackInto(paths, ask, spool);
  } catch (error) {
    await clear(paths);
    // A store that is away, or a process that ends, says nothing about the archive.
    const away = error instanceof FaultError && (error.fault.code === "store_unavailable" || error.fault.code === "hub_unavailable");
    if (!spool || !(away || ask.signal.aborted)) await removeFolder(paths.folder);
    throw error;
  } finally {
    await spool?.close();
  }
}

/** All but what was fetched. */
async function clear(paths: ImagePaths): Promise<void> {
  for (const path of [paths.bundle, paths.tree, paths.seal, join(paths.folder, asideName)]) await removeFolder(path);
}

interface Found {
  readonly entries: readonly Admitted[];
  readonly written: ReadonlyMap<string, WrittenFile>;
  readonly dataBytes: number;
}

async function unpackInto(paths: ImagePaths, ask: UnpackAsk, spool: Spool | null): Promise<Unpacked> {
  const { source } = ask;
  const admission = openAdmission(source.name, { entries: entryLimit, ratio: ratioLimit, logicalBytes: limitOf(ask) });
  const found = await stream(paths, ask, admission, spool);
  await removeSpool(paths.folder);
  const logicalBytes = [...found.written.values()].reduce((sum, file) => sum + file.bytes, 0);
  if (ask.told.exact && logicalBytes !== ask.told.logicalBytes)
    throw corrupt(source.name, `its files have ${logicalBytes} bytes, and its manifest tells of ${ask.told.logicalBytes}`);
  const top = await flatten(paths, found.entries);
  const entries = rebased(source.name, found.entries, top);
  if (!entries.some(({ path, kind }) => path === "config.pvs" && kind === "file"))
    throw refused(source.name, "it holds no machine: there is no config.pvs in it");
  const digest = await finish(paths, entries, found.written, top);
  return { digest, files: found.written.size, logicalBytes, dataBytes: found.dataBytes };
}

/** What was measured holds to the byte; what somebody told in megabytes may be wrong by as much again. */
function limitOf({ told }: UnpackAsk): number {
  if (told.exact) return told.logicalBytes;
  return told.logicalBytes === 0 ? logicalLimitBytes : 2 * told.logicalBytes + 1024 ** 3;
}

async function stream(paths: ImagePaths, ask: UnpackAsk, admission: Admission, spool: Spool | null): Promise<Found> {
  const { source, signal } = ask;
  const md5 = ask.md5 === null ? null : openMd5(source.bytes);
  const memory = openRangeMemory(Math.min(rangeBytes, source.bytes));
  let pool: ChunkPool | null = null;
  try {
    const threads = () => (pool ??= openChunkPool());
    async function* packed() {
      for await (const range of readAhead(source, { memory, spool, signal })) {
        await md5?.update(range);
        memory.given(range);
        yield range;
      }
    }
    const found = await takeEntries({ paths, ask, admission, threads, onReached: memory.reached }, packed());
    const told = await md5?.digest();
    if (told !== undefined && told !== ask.md5) throw corrupt(source.name, `its MD5 is ${told}, and its manifest tells of ${ask.md5}`);
    return found;
  } finally {
    await md5?.close();
    await (pool as ChunkPool | null)?.close();
  }
}

interface Taking {
  readonly paths: ImagePaths;
  readonly ask: UnpackAsk;
  readonly admission: Admission;
  readonly threads: () => ChunkPool;
  /** Told of each part that is to be written, before it is. */
  readonly onReached: (part: Uint8Array) => void;
}

async function takeEntries({ paths, ask, admission, threads: pool, onReached }: Taking, packed: AsyncIterable<Uint8Array>): Promise<Found> {
  const { source, signal, onProgress } = ask;
  let [packedBytes, dataBytes] = [0, 0];
  const onPacked = (part: Uint8Array) => {
    packedBytes += part.byteLength;
    onProgress?.({ doneBytes: packedBytes, totalBytes: source.bytes });
  };
  const onData = (bytes: number) => {
    dataBytes += bytes;
    admission.wrote(bytes, packedBytes);
  };
  const written = new Map<string, WrittenFile>();
  for await (const { header, content } of tarEntries(source.name, packed, { onPacked })) {
    signal.throwIfAborted();
    const entry = admission.admit(header);
    if (entry?.kind !== "file") continue;
    const path = join(paths.bundle, entry.path);
    await onDisk(path, () => mkdir(join(path, ".."), { recursive: true, mode: 0o700 }));
    const file = await writeSparse({ path, content, bytes: entry.bytes, pool, onReached, onData, signal });
    if (file.bytes !== entry.bytes) throw corrupt(source.name, `"${entry.path}" ends after ${file.bytes} of ${entry.bytes} bytes`);
    written.set(entry.path, file);
  }
  return { entries: admission.admitted(), written, dataBytes };
}

const asideName = "flattening";

/** Archives that were made by hand have the bundle's own folder at their top: answers its name with a slash once its content was moved up, else "". */
async function flatten(paths: ImagePaths, entries: readonly Admitted[]): Promise<string> {
  const tops = entries.filter(({ path }) => !path.includes("/"));
  const [top] = tops;
  if (tops.length !== 1 || top?.kind !== "folder") return "";
  const aside = join(paths.folder, asideName);
  await onDisk(aside, async () => {
    await rename(join(paths.bundle, top.path), aside).catch(async (error: unknown) => {
      // A folder without a file was not made yet.
      if ((await readdir(paths.bundle)).length > 0) throw error;
      await mkdir(aside);
    });
    await rm(paths.bundle, { recursive: true });
    await rename(aside, paths.bundle);
  });
  return `${top.path}/`;
}

/** The entries as they lie now. A link that stayed inside the archive may leave the bundle. */
function rebased(name: string, entries: readonly Admitted[], top: string): Admitted[] {
  const root = entries.find(({ path }) => `${path}/` === top) ?? impliedFolder("");
  const below = entries.filter(({ path }) => path.startsWith(top)).map((entry) => ({ ...entry, path: entry.path.slice(top.length) }));
  const lost = below.find(({ path, kind, target }) => kind === "link" && linkTargetInside(path, target) === null);
  if (lost) throw refused(name, `"${lost.path}" is a link to "${lost.target.slice(0, 200)}", outside the machine`);
  return [{ ...root, path: "" }, ...below];
}

async function finish(
  paths: ImagePaths,
  entries: readonly Admitted[],
  written: ReadonlyMap<string, WrittenFile>,
  top: string,
): Promise<string> {
  const { bytes, digest } = encodeTree({ entries: entries.map((entry) => treeEntry(entry, written.get(top + entry.path))) });
  const sorted = entries.toSorted((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
  const attributes = sorted.map((entry): Attributes => ({ ...entry, finderInfo: null }));
  await onDisk(paths.folder, async () => {
    for (const { kind, path } of attributes) if (kind === "folder") await mkdir(join(paths.bundle, path), { recursive: true, mode: 0o700 });
    await makeLinks(paths.bundle, attributes);
    await syncEntries(paths.bundle, attributes);
    await dress(paths.bundle, attributes);
    await writeFile(paths.tree, bytes, { flush: true });
    await writeFile(paths.seal, JSON.stringify(await sealFolder(paths.bundle)), { flush: true });
    await syncPath(paths.folder);
  });
  return digest;
}

function treeEntry({ kind, path, mode, mtimeMs, target }: Admitted, file: WrittenFile | undefined): TreeEntry {
  const common = { path, mode, mtimeMs, finderInfo: null };
  if (kind === "file") return { kind, ...common, bytes: file?.bytes ?? 0, rows: file?.rows ?? Buffer.alloc(0) };
  return kind === "link" ? { kind, ...common, target } : { kind, ...common };
}
