/**
 * What lies in a folder: each entry with what a tree keeps of it, what betrays a change, and what cannot be kept.
 *
 * Links are looked at, never followed. What cannot be kept is collected, not thrown, so that a check can name everything that is wrong with a bundle at once.
 */
import type { BigIntStats } from "node:fs";
import { lstat, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { FaultError, type Fault } from "../domain/errors.ts";
import { errorCode, isAbsent, onDisk } from "./files.ts";
import { readFinderInfo } from "./native.ts";
import { comparePaths, foldPath, linkTargetInside, pathProblem } from "./paths.ts";

/** What tells that a file is still the one that was looked at. The change time cannot be set back by a program. */
export interface Mark {
  readonly bytes: number;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly inode: bigint;
}

export interface ScannedEntry {
  readonly path: string;
  readonly kind: "file" | "folder" | "link";
  readonly mode: number;
  readonly mtimeMs: number;
  readonly bytes: number;
  readonly allocatedBytes: number;
  readonly target: string;
  readonly finderInfo: Buffer | null;
  readonly mark: Mark;
}

export interface Scan {
  /** Sorted as in a tree. */
  readonly entries: readonly ScannedEntry[];
  readonly refusals: readonly Fault[];
}

/** `leftOut`: names in the folder itself that are not part of it. */
export async function scanFolder(root: string, leftOut: readonly string[] = []): Promise<Scan> {
  const entries: ScannedEntry[] = [];
  const refusals: Fault[] = [];
  await walk(root, "", { entries, refusals, leftOut });
  // The folder itself is an entry too, with the empty path: a Mac marks it as a bundle in its FinderInfo.
  entries.push(describe(root, "", "folder", "", await onDisk(root, () => lstat(root, { bigint: true }))));
  entries.sort((a, b) => comparePaths(a.path, b.path));
  refuseTwins(entries, refusals);
  return { entries, refusals };
}

interface Walk {
  readonly entries: ScannedEntry[];
  readonly refusals: Fault[];
  readonly leftOut: readonly string[];
}

async function walk(root: string, folder: string, into: Walk): Promise<void> {
  const { entries, refusals, leftOut } = into;
  for (const name of await listNames(root, folder)) {
    const path = folder === "" ? name : `${folder}/${name}`;
    if (leftOut.includes(path)) continue;
    const problem = pathProblem(path);
    if (problem) {
      refusals.push(refusal(path, `${problem}: rename it`));
      continue;
    }
    const entry = await look(root, path, refusals);
    if (!entry) continue;
    entries.push(entry);
    if (entry.kind === "folder") await walk(root, path, into);
  }
}

async function listNames(root: string, folder: string): Promise<string[]> {
  const path = join(root, folder);
  try {
    return await onDisk(path, () => readdir(path));
  } catch (error) {
    if (!(error instanceof FaultError) || !isAbsent(error.cause)) throw error;
    throw folder === "" ? notFound(root, error) : changed(folder, "vanished", error);
  }
}

async function look(root: string, path: string, refusals: Fault[]): Promise<ScannedEntry | null> {
  const full = join(root, path);
  const stats = await lstat(full, { bigint: true }).catch((error: unknown) => {
    throw isAbsent(error) ? changed(path, "vanished", error) : error;
  });
  const kind = stats.isFile() ? "file" : stats.isDirectory() ? "folder" : stats.isSymbolicLink() ? "link" : null;
  if (kind === null) {
    refusals.push(refusal(path, "is a device, socket or pipe, which no image keeps: remove it"));
    return null;
  }
  const target = kind === "link" ? await readlink(full) : "";
  if (kind === "link" && linkTargetInside(path, target) === null) {
    refusals.push(refusal(path, `is a link to "${target}", outside the bundle: replace it by what it names, or remove it`));
    return null;
  }
  return describe(full, path, kind, target, stats);
}

function describe(full: string, path: string, kind: ScannedEntry["kind"], target: string, stats: BigIntStats): ScannedEntry {
  const file = kind === "file";
  return {
    path,
    kind,
    target,
    // A link's own mode means nothing and differs between systems.
    mode: kind === "link" ? 0o777 : Number(stats.mode & 0o777n),
    // To the nearest millisecond: a time that was set from milliseconds may read back a few nanoseconds early.
    mtimeMs: Number((stats.mtimeNs + 500_000n) / 1_000_000n),
    bytes: file ? Number(stats.size) : 0,
    allocatedBytes: file ? Number(stats.blocks) * 512 : 0,
    finderInfo: kind === "link" ? null : readFinderInfo(full),
    mark: { bytes: Number(stats.size), mtimeNs: stats.mtimeNs, ctimeNs: stats.ctimeNs, inode: stats.ino },
  };
}

function refuseTwins(entries: readonly ScannedEntry[], refusals: Fault[]): void {
  const seen = new Map<string, string>();
  for (const { path } of entries) {
    const fold = foldPath(path);
    const twin = seen.get(fold);
    if (twin !== undefined)
      refusals.push(refusal(path, `differs from "${twin}" only in case or composition, which hosts do not tell apart: rename one`));
    seen.set(fold, path);
  }
}

/** Fails with `bundle_changed` when a second look shows anything that the first did not. */
export function checkUnchanged(first: Scan, second: Scan): void {
  const before = new Map(first.entries.map((entry) => [entry.path, entry]));
  for (const entry of second.entries) {
    const old = before.get(entry.path);
    if (!old) throw changed(entry.path, "appeared");
    if (!sameMark(old.mark, entry.mark) || old.kind !== entry.kind) throw changed(entry.path, "changed");
    before.delete(entry.path);
  }
  for (const path of before.keys()) throw changed(path, "vanished");
}

export const sameMark = (a: Mark, b: Mark): boolean =>
  a.bytes === b.bytes && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs && a.inode === b.inode;

export function changed(path: string, what: string, cause?: unknown): FaultError {
  return new FaultError({ code: "bundle_changed", message: `"${path}" ${what} while the bundle was read.`, subject: path }, { cause });
}

function notFound(root: string, cause: unknown): FaultError {
  const why = errorCode(cause instanceof FaultError ? cause.cause : cause) === "ENOTDIR" ? "is not a folder" : "does not exist";
  return new FaultError({ code: "bundle_not_found", message: `The bundle ${root} ${why}.`, subject: root }, { cause });
}

function refusal(path: string, problem: string): Fault {
  return { code: "bundle_refused", message: `"${path}" ${problem}.`, subject: path };
}
