/**
 * A tree: the immutable list of a bundle's entries and of the chunks of its files. Its SHA-256 is the digest, the image's identity.
 *
 * It says what a bundle is and never where its bytes lie, and there is exactly one way to write a given bundle, so equal bundles have equal digests.
 * Reading one checks everything: after `parseTree` no path can leave the folder and no chunk can lie outside its file.
 */
import { chunkBytes, chunkCount, corrupt, hashBytes, readHead, sha256Hex, writeHead } from "./format.ts";
import { comparePaths, foldPath, linkTargetInside, parentOf, pathProblem } from "./paths.ts";

export interface FolderEntry extends CommonEntry {
  readonly kind: "folder";
}
export interface LinkEntry extends CommonEntry {
  readonly kind: "link";
  readonly target: string;
}
export interface FileEntry extends CommonEntry {
  readonly kind: "file";
  readonly bytes: number;
  /** One row per chunk that is not zero, in order: its index in the file (4 bytes), then its SHA-256. */
  readonly rows: Buffer;
}
interface CommonEntry {
  readonly path: string;
  /** Permission bits only: no set-user-id, nothing of the owner. */
  readonly mode: number;
  /** Milliseconds, which every file system and Node can set exactly. */
  readonly mtimeMs: number;
  readonly finderInfo: Buffer | null;
}
export type TreeEntry = FolderEntry | LinkEntry | FileEntry;
export interface Tree {
  readonly entries: readonly TreeEntry[];
}

export const rowBytes = 4 + hashBytes;
/** A tree of 64 GiB full of data has 9 MiB; this allows 100 times as much, and bounds what a reader keeps in memory. */
export const treeLimitBytes = 1 << 30;

const magic = "DRVRTREE";
const kinds = ["file", "folder", "link"] as const;
const finderInfoBytes = 32;
/** kind, mode, mtime, bytes, rows, then the lengths of path, target and FinderInfo. */
const fixedBytes = 1 + 4 + 8 + 8 + 4 + 2 + 2 + 1;

export const rowCount = (rows: Buffer): number => rows.byteLength / rowBytes;
export const rowIndex = (rows: Buffer, row: number): number => rows.readUInt32LE(row * rowBytes);
export const rowHash = (rows: Buffer, row: number): Buffer => rows.subarray(row * rowBytes + 4, (row + 1) * rowBytes);

export function everyRow(rows: Buffer, holds: (hash: Buffer) => boolean): boolean {
  for (let row = 0; row < rowCount(rows); row++) if (!holds(rowHash(rows, row))) return false;
  return true;
}

export function treeFiles(tree: Tree): FileEntry[] {
  return tree.entries.filter((entry) => entry.kind === "file");
}

/** Writes a tree; entries may come in any order. */
export function encodeTree(tree: Tree): { bytes: Buffer; digest: string } {
  const entries = tree.entries.toSorted((a, b) => comparePaths(a.path, b.path));
  const counts = Buffer.alloc(8);
  counts.writeUInt32LE(chunkBytes, 0);
  counts.writeUInt32LE(entries.length, 4);
  const tables = entries.map((entry) => (entry.kind === "file" ? entry.rows : Buffer.alloc(0)));
  const bytes = Buffer.concat([writeHead(magic), counts, ...entries.map(encodeEntry), ...tables]);
  return { bytes, digest: sha256Hex(bytes) };
}

function encodeEntry(entry: TreeEntry): Buffer {
  const path = Buffer.from(entry.path);
  const target = Buffer.from(entry.kind === "link" ? entry.target : "");
  const finder = entry.finderInfo ?? Buffer.alloc(0);
  const fixed = Buffer.alloc(fixedBytes);
  fixed.writeUInt8(kinds.indexOf(entry.kind), 0);
  fixed.writeUInt32LE(entry.mode, 1);
  fixed.writeBigInt64LE(BigInt(entry.mtimeMs), 5);
  fixed.writeBigUInt64LE(BigInt(entry.kind === "file" ? entry.bytes : 0), 13);
  fixed.writeUInt32LE(entry.kind === "file" ? rowCount(entry.rows) : 0, 21);
  fixed.writeUInt16LE(path.byteLength, 25);
  fixed.writeUInt16LE(target.byteLength, 27);
  fixed.writeUInt8(finder.byteLength, 29);
  return Buffer.concat([fixed, path, target, finder]);
}

/** Reads a tree whose digest is known, and trusts nothing of it but that. */
export function parseTree(bytes: Buffer, digest: string): Tree {
  const subject = `The tree ${digest}`;
  if (sha256Hex(bytes) !== digest) throw corrupt(subject, "its bytes do not have this SHA-256");
  const body = readHead(bytes, magic, subject);
  if (body.byteLength < 8) throw corrupt(subject, "it is cut");
  if (body.readUInt32LE(0) !== chunkBytes) throw corrupt(subject, "its chunk size is not the one of this version");
  const heads = parseHeads(body, subject);
  let at = heads.end;
  const entries = heads.entries.map(({ rows, ...entry }): TreeEntry => {
    if (entry.kind !== "file") return entry;
    const table = body.subarray(at, (at += rows * rowBytes));
    if (table.byteLength !== rows * rowBytes) throw corrupt(subject, "its chunk table is cut");
    checkRows(table, entry.bytes, `${subject} (${entry.path})`);
    return { ...entry, rows: table };
  });
  if (at !== body.byteLength) throw corrupt(subject, "bytes follow its end");
  checkPaths(entries, subject);
  return { entries };
}

type EntryHead = (FolderEntry | LinkEntry | Omit<FileEntry, "rows">) & { readonly rows: number };

function parseHeads(body: Buffer, subject: string): { entries: EntryHead[]; end: number } {
  const count = body.readUInt32LE(4);
  // A count that the bytes cannot hold is refused before anything is allocated for it.
  if (count * fixedBytes > body.byteLength) throw corrupt(subject, "it counts more entries than it has bytes for");
  const entries: EntryHead[] = [];
  let at = 8;
  for (let n = 0; n < count; n++) {
    const fixed = body.subarray(at, at + fixedBytes);
    if (fixed.byteLength < fixedBytes) throw corrupt(subject, "it is cut in its entries");
    const [pathLength, targetLength, finderLength] = [fixed.readUInt16LE(25), fixed.readUInt16LE(27), fixed.readUInt8(29)];
    const names = body.subarray(at + fixedBytes, at + fixedBytes + pathLength + targetLength + finderLength);
    if (names.byteLength < pathLength + targetLength + finderLength) throw corrupt(subject, "it is cut in its entries");
    entries.push(parseEntry(fixed, names, pathLength, targetLength, subject));
    at += fixedBytes + names.byteLength;
  }
  return { entries, end: at };
}

function parseEntry(fixed: Buffer, names: Buffer, pathLength: number, targetLength: number, subject: string): EntryHead {
  const kind = kinds[fixed.readUInt8(0)];
  const bytes = Number(fixed.readBigUInt64LE(13));
  const rows = fixed.readUInt32LE(21);
  const mtimeMs = Number(fixed.readBigInt64LE(5));
  const finder = names.subarray(pathLength + targetLength);
  const path = names.toString("utf8", 0, pathLength);
  const mode = fixed.readUInt32LE(1);
  const target = names.toString("utf8", pathLength, pathLength + targetLength);
  // Chunk indexes have 32 bits and times the range of a date; nothing real comes near either limit.
  const sane =
    kind &&
    mode <= 0o777 &&
    Math.abs(mtimeMs) <= 8.64e15 &&
    (finder.byteLength === 0 || finder.byteLength === finderInfoBytes) &&
    chunkCount(bytes) <= 0xffffffff;
  const fits = kind === "file" ? target === "" : bytes === 0 && rows === 0 && (kind === "link") === (target !== "");
  if (!sane || !fits) throw corrupt(subject, `its entry "${path}" makes no sense`);
  const common = { path, mode, mtimeMs, finderInfo: finder.byteLength === 0 ? null : finder, rows };
  if (kind === "file") return { kind, ...common, bytes };
  return kind === "link" ? { kind, ...common, target } : { kind, ...common };
}

/** Indexes rise and lie within the file; a zero hash stands for nothing. */
function checkRows(rows: Buffer, fileBytes: number, subject: string): void {
  const limit = chunkCount(fileBytes);
  let last = -1;
  for (let row = 0; row < rowCount(rows); row++) {
    const index = rowIndex(rows, row);
    if (index <= last || index >= limit) throw corrupt(subject, "its chunks are out of order or beyond the end of the file");
    last = index;
  }
}

/** The folder itself first; then sorted, distinct after folding, below folders that are there, and with links that stay inside. */
function checkPaths([top, ...entries]: readonly TreeEntry[], subject: string): void {
  if (top?.kind !== "folder" || top.path !== "") throw corrupt(subject, "it does not begin with the folder itself");
  const folders = new Set([""]);
  const folded = new Set<string>();
  let last = "";
  for (const entry of entries) {
    const { path } = entry;
    const problem = pathProblem(path) ?? (comparePaths(last, path) >= 0 ? "is out of order" : null);
    if (problem) throw corrupt(subject, `the path "${path}" ${problem}`);
    if (!folders.has(parentOf(path))) throw corrupt(subject, `the path "${path}" lies in no folder of the tree`);
    const fold = foldPath(path);
    if (folded.has(fold)) throw corrupt(subject, `the path "${path}" stands for the same file as another one`);
    if (entry.kind === "link" && linkTargetInside(path, entry.target) === null)
      throw corrupt(subject, `the link "${path}" leaves the bundle`);
    if (entry.kind === "folder") folders.add(path);
    folded.add(fold);
    last = path;
  }
}
