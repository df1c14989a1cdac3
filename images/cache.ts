/**
 * The cache of a host: images on its disk, each below its digest, ready to clone.
 *
 * An image appears by one rename and goes by one rename, so a digest that is there is whole; what a kill left half removed or half fetched has another name.
 * The time of last use is that of the folder itself: no index that could disagree with the disk.
 */
import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, utimes, lstat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { FaultError } from "../domain/errors.ts";
import { openHandPins } from "./cache-pins.ts";
import { ensureRoom, type RoomAsk } from "./cache-room.ts";
import { errorCode, isAbsent, onDisk, removeFolder, syncPath } from "./files.ts";
import { cachedPaths, incomingName, incomingPaths, type ImagePaths } from "./layout.ts";
import { scanFolder } from "./scan.ts";
import { parseSeal, sealFolder, type Seal } from "./seal.ts";
import { parseTree, type Tree } from "./tree.ts";

export interface CachedImage {
  readonly digest: string;
  /** What it takes on disk, as if it shared nothing. */
  readonly bytes: number;
  readonly lastUsedAt: Date;
  /** By hand: it is not evicted. */
  readonly pinned: boolean;
}

export interface Cache {
  readonly root: string;
  paths(digest: string): ImagePaths;
  /** Where a pull of this digest works. */
  incoming(digest: string): ImagePaths;
  has(digest: string): Promise<boolean>;
  /** Most recently used first. */
  list(): Promise<CachedImage[]>;
  /** The tree and seal of an image, or `null` when it is not there or is damaged. */
  open(digest: string): Promise<{ tree: Tree; seal: Seal | null } | null>;
  /** Makes a fetched image visible; succeeds when it is already. */
  reveal(digest: string): Promise<void>;
  touch(digest: string): Promise<void>;
  /** Writes the seal anew, of an image that was just read and found right. */
  reseal(digest: string): Promise<void>;
  remove(digest: string): Promise<void>;
  /** Keeps an image from eviction, also one that is not here yet. */
  pin(digest: string): Promise<void>;
  unpin(digest: string): Promise<void>;
  /** Digests that pulls have begun to fetch and not shown yet. */
  fetching(): Promise<string[]>;
  /** Throws away what a pull has fetched so far. */
  discard(digest: string): Promise<void>;
  /** Evicts until there is room for `bytes`; answers what went. Fails with `no_space` and evicts nothing when that would not suffice. */
  ensureRoom(ask: RoomAsk): Promise<string[]>;
  /** Clears away what kills left half removed, and what was fetched for nobody: not touched since `before` (ms since 1970). Only while nothing is fetched. */
  sweep(before: number): Promise<void>;
}

const digestForm = /^[0-9a-f]{64}$/;
/** Removed images wait below this name for their bytes to go. */
const goingName = ".going";

export function openCache(root: string): Cache {
  const paths = (digest: string) => cachedPaths(root, checked(digest));
  const has = async (digest: string) => (await lstat(paths(digest).folder).catch(() => null))?.isDirectory() ?? false;
  const remove = (digest: string) => removeImage(root, paths(digest).folder);
  const hand = openHandPins(root);
  const list = async () => listImages(root, await hand.pinned());
  return {
    root,
    paths,
    incoming: (digest) => incomingPaths(root, checked(digest)),
    has,
    list,
    open: (digest) => openImage(paths(digest), digest),
    reveal: (digest) => reveal(root, digest),
    touch: async (digest) => {
      const now = new Date();
      await utimes(paths(digest).folder, now, now).catch(() => undefined); // Evicted meanwhile: nothing to touch.
    },
    reseal: async (digest) => {
      const { bundle, seal } = paths(digest);
      const text = JSON.stringify(await sealFolder(bundle));
      await onDisk(seal, async () => {
        await writeFile(`${seal}.new`, text, { flush: true });
        await rename(`${seal}.new`, seal);
      });
    },
    remove,
    pin: (digest) => hand.pin(checked(digest)),
    unpin: (digest) => hand.unpin(checked(digest)),
    fetching: async () => (await readdir(join(root, incomingName)).catch(() => [])).filter((name) => digestForm.test(name)),
    discard: (digest) => removeFolder(incomingPaths(root, checked(digest)).folder),
    ensureRoom: async (ask) => {
      await onDisk(root, () => mkdir(join(root, incomingName), { recursive: true }));
      return ensureRoom({ root, list, remove }, ask);
    },
    sweep: async (before) => {
      await removeFolder(join(root, goingName));
      const incoming = join(root, incomingName);
      for (const name of await readdir(incoming).catch(() => [])) {
        const { mtimeMs } = await lstat(join(incoming, name));
        if (mtimeMs < before) await removeFolder(join(incoming, name));
      }
    },
  };
}

function checked(digest: string): string {
  if (digestForm.test(digest)) return digest;
  throw new FaultError({ code: "content_corrupt", message: `"${digest}" is not the digest of an image.`, subject: digest });
}

async function listImages(root: string, pinned: ReadonlySet<string>): Promise<CachedImage[]> {
  const names = await onDisk(root, () => readdir(root).catch((error: unknown) => (isAbsent(error) ? [] : Promise.reject(error))));
  const images = await Promise.all(names.filter((name) => digestForm.test(name)).map((name) => measure(root, name)));
  const known = images.filter((image) => image !== null).map((image) => ({ ...image, pinned: pinned.has(image.digest) }));
  return known.sort((a, b) => b.lastUsedAt.getTime() - a.lastUsedAt.getTime());
}

/** `null` for one that is evicted while it is measured. */
async function measure(root: string, digest: string): Promise<Omit<CachedImage, "pinned"> | null> {
  const { folder } = cachedPaths(root, digest);
  try {
    const { mtime } = await lstat(folder);
    const { entries } = await scanFolder(folder);
    return { digest, lastUsedAt: mtime, bytes: entries.reduce((sum, entry) => sum + entry.allocatedBytes, 0) };
  } catch (error) {
    if (isAbsent(error) || (error instanceof FaultError && ["bundle_not_found", "bundle_changed"].includes(error.fault.code))) return null;
    throw error;
  }
}

async function openImage(paths: ImagePaths, digest: string): Promise<{ tree: Tree; seal: Seal | null } | null> {
  try {
    const tree = parseTree(await readFile(paths.tree), digest);
    return { tree, seal: parseSeal(await readFile(paths.seal, "utf8").catch(() => "")) };
  } catch {
    return null;
  }
}

async function reveal(root: string, digest: string): Promise<void> {
  const from = incomingPaths(root, checked(digest)).folder;
  const to = cachedPaths(root, digest).folder;
  await onDisk(to, async () => {
    try {
      await rename(from, to);
    } catch (error) {
      const there = (await lstat(to).catch(() => null))?.isDirectory() ?? false;
      if (!there || !["ENOENT", "ENOTEMPTY", "EEXIST"].includes(errorCode(error) ?? "")) throw error;
      await removeFolder(from); // Somebody revealed the same digest first, which has the same content.
    }
    await syncPath(root);
  });
}

/** Out of sight by one rename, then gone. */
async function removeImage(root: string, folder: string): Promise<void> {
  const going = join(root, goingName, randomUUID());
  await onDisk(folder, async () => {
    await mkdir(join(root, goingName), { recursive: true });
    try {
      await rename(folder, going);
    } catch (error) {
      if (!isAbsent(error)) throw error;
    }
  });
  await removeFolder(going);
}
