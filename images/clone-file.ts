/**
 * Copies that cost nothing where the file system shares blocks, and that keep the holes where it does not.
 *
 * A copy-on-write clone is asked for by force: the polite form falls back to a copy that fills the holes, which turns a sparse disk into a full one.
 */
import { constants } from "node:fs";
import { chmod, copyFile, lutimes, mkdir, open, rm, symlink, utimes, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { FaultError } from "../domain/errors.ts";
import { errorCode, onDisk, removeFolder } from "./files.ts";
import { forEachLimited } from "./limited.ts";
import { copyRange, dataExtents, writeBackBeside, writeFinderInfo } from "./native.ts";
import { scanFolder, type ScannedEntry } from "./scan.ts";

/** What the systems answer where a clone is not to be had: other file system, other disk, no such call. */
const noClone = new Set(["ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EXDEV", "EINVAL", "ENOTTY"]);
/** Large steps make few calls; two of them are in memory while files are copied in turn. */
const stepBytes = 4 * 1024 * 1024;
/** What the disk is given at once while a copy goes on: enough for long writes, little enough to begin soon. */
const behindBytes = 16 * 1024 * 1024;

export type CopyKind = "cloned" | "copied";

export interface CloneOptions {
  /** What is copied will be synced: the disk begins with it at once, beside the copying. */
  readonly toDisk?: boolean;
}

/** Copies the content of one file to a new one; mode and times are the caller's. */
export async function cloneFile(from: string, to: string, signal: AbortSignal, { toDisk = false }: CloneOptions = {}): Promise<CopyKind> {
  signal.throwIfAborted();
  return onDisk(to, async () => {
    try {
      await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
      return "cloned";
    } catch (error) {
      if (!noClone.has(errorCode(error) ?? "")) throw error;
    }
    await rm(to, { force: true });
    await copySparse(from, to, signal, toDisk);
    return "copied";
  });
}

async function copySparse(from: string, to: string, signal: AbortSignal, toDisk: boolean): Promise<void> {
  await using source = await open(from, "r");
  await using target = await open(to, "wx", 0o600);
  const { size } = await source.stat();
  await target.truncate(size);
  const behind = openBehind(target.fd, toDisk);
  try {
    for (const { offsetBytes, lengthBytes } of dataExtents(source.fd, size)) {
      const end = offsetBytes + lengthBytes;
      for (let at = offsetBytes; at < end;) {
        signal.throwIfAborted();
        const step = Math.min(stepBytes, end - at);
        const copied = (await copyRange(source.fd, target.fd, at, step)) ?? (await copyStep(source, target, at, step));
        if (copied === 0)
          throw new FaultError({ code: "bundle_changed", message: `"${from}" became shorter while it was copied.`, subject: from });
        at += copied;
        behind.wrote(at);
      }
    }
  } finally {
    await behind.settle();
  }
}

/** Follows a copy with the disk: one range at a time, of all that came meanwhile. */
function openBehind(fd: number, wanted: boolean): { wrote(end: number): void; settle(): Promise<void> } {
  let [begun, written] = [0, 0];
  let writing: Promise<void> | null = null;
  const begin = () => {
    const [from, to] = [begun, written];
    begun = to;
    writing = writeBackBeside(fd, from, to - from).then(() => {
      writing = null;
      if (written - begun >= behindBytes) begin();
    });
  };
  return {
    wrote: (end) => {
      written = end;
      if (wanted && !writing && written - begun >= behindBytes) begin();
    },
    settle: async () => {
      while (writing) await writing;
    },
  };
}

/** Also finds out what kept the system from copying by itself: a full disk fails here with its own code. */
async function copyStep(source: FileHandle, target: FileHandle, position: number, bytes: number): Promise<number> {
  const { buffer, bytesRead } = await source.read(Buffer.allocUnsafeSlow(bytes), 0, bytes, position);
  for (let done = 0; done < bytesRead;) done += (await target.write(buffer, done, bytesRead - done, position + done)).bytesWritten;
  return bytesRead;
}

/** Copies a whole bundle to a folder that does not exist yet; leaves nothing there when it fails. */
export async function cloneFolder(from: string, to: string, signal: AbortSignal): Promise<CopyKind> {
  const { entries, refusals } = await scanFolder(from);
  const [refusal] = refusals;
  if (refusal) throw new FaultError(refusal);
  await onDisk(to, () => mkdir(to));
  try {
    const kinds = await cloneEntries(from, to, entries, signal);
    return kinds.has("copied") ? "copied" : "cloned";
  } catch (error) {
    await removeFolder(to);
    throw error;
  }
}

async function cloneEntries(from: string, to: string, entries: readonly ScannedEntry[], signal: AbortSignal): Promise<Set<CopyKind>> {
  const kinds = new Set<CopyKind>();
  for (const { kind, path } of entries) if (kind === "folder" && path !== "") await onDisk(path, () => mkdir(join(to, path)));
  // Two at a time: the disk is the limit, and each copy holds a step in memory.
  await forEachLimited(
    entries.filter(({ kind }) => kind === "file"),
    2,
    async ({ path }) => {
      kinds.add(await cloneFile(join(from, path), join(to, path), signal));
    },
  );
  await makeLinks(to, entries);
  await dress(to, entries);
  return kinds;
}

/** What an entry keeps besides its content. */
export type Attributes = Pick<ScannedEntry, "path" | "kind" | "mode" | "mtimeMs" | "finderInfo" | "target">;

export async function makeLinks(root: string, entries: readonly Attributes[]): Promise<void> {
  for (const { path, kind, target } of entries) {
    if (kind === "link") await onDisk(path, () => symlink(target, join(root, path)));
  }
}

/** Gives all entries their modes and times: children before their folder, whose own time they would change. */
export async function dress(root: string, entries: readonly Attributes[]): Promise<void> {
  for (const { path, kind, mode, mtimeMs, finderInfo } of entries.toReversed()) {
    const full = join(root, path);
    await onDisk(full, async () => {
      const seconds = mtimeMs / 1000;
      if (kind === "link") return lutimes(full, seconds, seconds);
      if (finderInfo) writeFinderInfo(full, finderInfo);
      await utimes(full, seconds, seconds);
      await chmod(full, mode);
    });
  }
}
