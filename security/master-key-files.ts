/**
 * The master key in a folder: `master.key` is in force, `master.key.next` is what a rotation changes to, `master.key.<id>.old` what it was before.
 *
 * The one idea: a file appears whole or not at all and is on the disk before anything relies on it, so a kill at any moment loses no key that is in use.
 */
import { randomBytes } from "node:crypto";
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { idOfKey, invalidKey, keyOf, type MasterKey, type MasterKeySource, newMasterKey, sameKey, wordOf } from "./master-key-word.ts";

const fileName = "master.key";

export function keyFiles(home: string): MasterKeySource {
  const path = join(home, fileName);
  const next = `${path}.next`;
  const settle = async (key: MasterKey): Promise<void> => {
    const waiting = await readKeyFile(next);
    if (waiting === null || !sameKey(waiting.bytes, key.bytes)) return;
    await keepOld(path);
    await rename(next, path);
    await synced(home);
  };
  const take = async (bytes: Uint8Array): Promise<MasterKey> => {
    await keepOld(path);
    await rm(path, { force: true });
    return made(home, path, bytes);
  };
  return {
    name: path,
    read: async () => {
      const keys = await Promise.all([path, next, ...(await oldFiles(home))].map(readKeyFile));
      return keys.filter((key) => key !== null);
    },
    make: () => made(home, path, newMasterKey()),
    next: () => made(home, next, newMasterKey()),
    settle,
    afresh: () => take(newMasterKey()),
    take,
  };
}

/** A database restored from a time before a rotation opens with the key of that time. */
async function keepOld(path: string): Promise<void> {
  const key = await readKeyFile(path);
  if (key) await linked(path, `${path}.${idOfKey(key.bytes)}.old`);
}

async function oldFiles(home: string): Promise<string[]> {
  const names = await readdir(home).catch(() => []);
  return names.filter((name) => name.startsWith(`${fileName}.`) && name.endsWith(".old")).map((name) => join(home, name));
}

async function readKeyFile(path: string): Promise<MasterKey | null> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw invalidKey(`The master key in ${path} cannot be read.`, error);
  });
  if (text === null) return null;
  const { mode } = await stat(path);
  if ((mode & 0o077) !== 0) throw invalidKey(`The master key in ${path} can be read by others: set its mode to 0600.`);
  return keyOf(text, path);
}

/** Written aside and linked: several processes may start at once, and the first link is everybody's key. */
async function made(home: string, path: string, bytes: Uint8Array): Promise<MasterKey> {
  await mkdir(home, { recursive: true });
  const aside = join(home, `.${basename(path)}.${randomBytes(6).toString("hex")}`);
  const file = await open(aside, "wx", 0o600);
  try {
    await file.writeFile(`${wordOf(bytes)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await linked(aside, path).finally(() => rm(aside, { force: true }));
  await synced(home);
  const key = await readKeyFile(path);
  if (key) return key;
  throw invalidKey(`The master key in ${path} vanished while it was made.`);
}

/** What is there already stays. */
async function linked(from: string, to: string): Promise<void> {
  await link(from, to).catch((error: unknown) => {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  });
}

/** A new name lasts once its folder is on the disk. */
async function synced(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  await handle.sync().finally(() => handle.close());
}
