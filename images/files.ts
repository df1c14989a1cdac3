/**
 * The engine's way to the disk: system errors restated as faults, and reads and writes that are never short.
 *
 * The one idea: every failure of the disk gets its code here, so that a full disk is `no_space` wherever it is met.
 */
import { readSync, writeSync } from "node:fs";
import { chmod, lstat, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { FaultError } from "../domain/errors.ts";
import { forEachLimited } from "./limited.ts";

/** The code that Node gives a failed system call, such as ENOSPC. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

export const isAbsent = (error: unknown) => errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR";

/** Runs a call on the disk of this host and restates its failure; faults and cancellation pass as they are. */
export async function onDisk<T>(what: string, call: () => T | Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    throw diskFault(what, cause);
  }
}

/** A failure of the disk as a fault; whatever is none comes back unchanged. */
export function diskFault(what: string, cause: unknown): unknown {
  const code = errorCode(cause);
  if (cause instanceof FaultError || code === undefined || code === "ABORT_ERR" || !("syscall" in (cause as object))) return cause;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new FaultError({ code: "no_space", message: `The disk is full; ${what} could not be written.`, subject: what }, { cause });
  }
  return new FaultError({ code: "disk_failed", message: `The disk answered ${code} for ${what}.`, subject: what }, { cause });
}

/** For callers with no file to name: a full disk is something that an operator can mend, whoever was writing what. */
export function fullDiskAsFault(error: unknown): unknown {
  const full = ["ENOSPC", "EDQUOT"].includes(errorCode(error) ?? "");
  const path = full && error instanceof Error && "path" in error && typeof error.path === "string" ? error.path : "a file of this host";
  return full ? diskFault(path, error) : error;
}

/** Fills `into` from `position`; answers fewer bytes only at the end of the file. */
export function readFully(fd: number, into: Uint8Array, position: number): number {
  let done = 0;
  while (done < into.byteLength) {
    const bytes = readSync(fd, into, done, into.byteLength - done, position + done);
    if (bytes === 0) break;
    done += bytes;
  }
  return done;
}

export function writeFully(fd: number, from: Uint8Array, position: number): void {
  let done = 0;
  while (done < from.byteLength) done += writeSync(fd, from, done, from.byteLength - done, position + done);
}

/** Makes what was written to a file or folder outlive a power cut. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** The disk makes one of what waits together. */
const syncedAtOnce = 8;

/** All files and folders of a bundle, its own folder among them. */
export async function syncEntries(root: string, entries: Iterable<{ readonly kind: string; readonly path: string }>): Promise<void> {
  await forEachLimited(entries, syncedAtOnce, async ({ kind, path }) => {
    if (kind !== "link") await syncPath(join(root, path));
  });
}

/** Removes a folder and all below it, also where folders may not be written; succeeds when it is not there. */
export async function removeFolder(path: string): Promise<void> {
  await onDisk(path, async () => {
    await openFolders(path);
    await rm(path, { recursive: true, force: true });
  });
}

/** Lets us into all folders, links not followed: one that may not be written would keep what is in it. */
export async function openFolders(path: string): Promise<void> {
  const stats = await lstat(path).catch(() => null);
  if (!stats?.isDirectory()) return;
  await chmod(path, 0o700);
  for (const entry of await readdir(path, { withFileTypes: true })) if (entry.isDirectory()) await openFolders(join(path, entry.name));
}
