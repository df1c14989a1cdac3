/**
 * DROVER_HOME: the one folder of all state, held by one supervisor at a time.
 *
 * The one idea: the folder says which format it has, and its lock names a process together with its start time, so that neither a folder of
 * another release nor a lock of a dead process can be mistaken.
 */
import { randomBytes } from "node:crypto";
import { link, mkdir, readdir, readFile, rename, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { FaultError } from "../domain/errors.ts";
import { startOf } from "./processes.ts";

/** Raised when a release cannot use the folder of the one before. */
const format = 1;
/** A first start writes about 150 MB (PostgreSQL 60, its log of changes 64); the rest is room for the first hours. */
const wantedFreeBytes = 300 * 1024 * 1024;

const Format = z.object({ format: z.number().int() });
const Lock = z.object({ pid: z.number().int(), began: z.string() });

export interface Home {
  readonly folder: string;
  /** Whether the run before was killed, so that its children may still be on their way out. */
  readonly unclean: boolean;
  readonly release: () => Promise<void>;
}

export async function openHome(folder: string): Promise<Home> {
  await usable(folder, async () => {
    // Root's services run as another user, who must pass through; every file with a secret has mode 0600 itself.
    await mkdir(folder, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
    await checkSpace(folder);
    await checkFormat(folder);
  });
  return { folder, ...(await lockFolder(folder)) };
}

/** Holds a folder that exists for this process alone; fails with `home_in_use`. The lock of a process that is gone counts for nothing. */
export async function lockFolder(folder: string): Promise<Pick<Home, "unclean" | "release">> {
  const unclean = await takeLock(folder);
  return { unclean, release: () => rm(lockOf(folder), { force: true }) };
}

/** The process that holds the folder now, or `null`. */
export async function holderOf(folder: string): Promise<number | null> {
  const text = await readFile(lockOf(folder), "utf8").catch(() => null);
  const lock = text === null ? null : Lock.safeParse(parsed(text)).data;
  if (!lock) return null;
  return (await startOf(lock.pid)) === lock.began ? lock.pid : null;
}

const lockOf = (folder: string) => join(folder, "supervisor.json");
const formatOf = (folder: string) => join(folder, "format.json");

/** Restates what the file system says about a folder that cannot be used. */
async function usable(folder: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    if (cause instanceof FaultError || !(cause instanceof Error)) throw cause;
    const code = "code" in cause ? cause.code : undefined;
    if (code === "ENOSPC") throw new FaultError({ code: "disk_full", message: `The disk of ${folder} is full.` }, { cause });
    throw new FaultError({ code: "home_unusable", message: `The folder ${folder} cannot be used: ${cause.message}.` }, { cause });
  }
}

async function checkSpace(folder: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const freeBytes = bavail * bsize;
  if (freeBytes >= wantedFreeBytes) return;
  const [free, wanted] = [freeBytes, wantedFreeBytes].map((bytes) => Math.round(bytes / 1024 / 1024));
  throw new FaultError({
    code: "disk_full",
    message: `The disk of ${folder} is full: ${free} MB are free, and a start needs ${wanted} MB.`,
  });
}

async function checkFormat(folder: string): Promise<void> {
  const text = await readFile(formatOf(folder), "utf8").catch(() => null);
  if (text === null) {
    const strangers = (await readdir(folder)).slice(0, 3);
    if (strangers.length > 0) {
      const message = `The folder ${folder} is not one of Drover's: it holds ${strangers.join(", ")} and no format.json.`;
      throw new FaultError({ code: "home_unknown", message });
    }
    return writeFile(formatOf(folder), `${JSON.stringify({ format })}\n`);
  }
  const found = Format.safeParse(parsed(text)).data?.format;
  if (found === format) return;
  const age =
    found === undefined
      ? "has a format.json that cannot be read"
      : `was written by ${found > format ? "a newer" : "an older"} release (format ${found})`;
  throw new FaultError({ code: "home_unknown", message: `The folder ${folder} ${age}; this release uses format ${format}.` });
}

/** A hard link appears whole or not at all; the loser of a race finds the winner's lock. */
async function takeLock(folder: string): Promise<boolean> {
  const aside = `${lockOf(folder)}.${randomBytes(4).toString("hex")}`;
  await writeFile(aside, JSON.stringify({ pid: process.pid, began: await startOf(process.pid) }), { mode: 0o600 });
  try {
    for (let stale = false; ; stale = true) {
      if (await linked(aside, lockOf(folder))) return stale;
      const holder = await holderOf(folder);
      if (holder !== null) throw new FaultError({ code: "home_in_use", message: `Another Drover (process ${holder}) runs on ${folder}.` });
      await rename(lockOf(folder), `${aside}.stale`).catch(() => {});
    }
  } finally {
    await Promise.all([aside, `${aside}.stale`].map((path) => rm(path, { force: true })));
  }
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
