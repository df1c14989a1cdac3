/** One pull onto a disk that gets full on its way, and the same pull once there is room. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { openCache } from "../../images/cache.ts";
import { pullTree } from "../../images/pull.ts";
import { pushBundle } from "../../images/push.ts";
import { memoryStore } from "../../stores/memory.ts";
import type { ObjectStore } from "../../stores/object-store.ts";
import { listTree, makeDisk, workFolder } from "./samples.ts";

export const mayMount = process.getuid?.() === 0;
const mebibyte = 1024 ** 2;
const imageBytes = 24 * mebibyte;
const signal = new AbortController().signal;

/** `share`: how much of the image the disk has room for, from 0 to below 1. */
export async function pullOntoFullDisk(share: number): Promise<void> {
  await using folder = await workFolder();
  const bundle = join(folder.path, "golden");
  makeDisk(bundle, "full-disk", imageBytes);
  const whole = memoryStore();
  const journalPath = join(folder.path, "journal");
  const { digest } = await pushBundle({ bundlePath: bundle, store: whole, bases: [], journalPath, generation: 1, signal });
  const { store, sent } = counted(whole);
  const disk = join(folder.path, "disk");
  mkdirSync(disk);
  // Room for the tree, so that the disk is full in the middle and not before it begins.
  const kibibytes = Math.ceil((mebibyte + share * imageBytes) / 1024);
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${kibibytes}k`, "tmpfs", disk]);
  try {
    const cache = openCache(join(disk, "cache"));
    const pull = () => pullTree({ digest, generation: 1, store, targetPath: cache.incoming(digest).folder, seeds: [], signal, threads: 1 });
    await expect(pull()).rejects.toMatchObject({ fault: { code: "no_space" } });
    expect(await cache.list()).toEqual([]);
    expect(await cache.has(digest)).toBe(false);
    expect(readdirSync(cache.root)).toEqual([".incoming"]);
    const before = sent();

    execFileSync("mount", ["-o", "remount,size=64m", disk]);
    const pulled = await pull();
    await cache.reveal(digest);
    expect(listTree(cache.paths(digest).bundle)).toEqual(listTree(bundle));
    // What was written before the disk was full is not fetched again, save for what was on its way.
    expect(pulled.reusedBytes).toBeGreaterThanOrEqual(Math.max(0, share * imageBytes - 2 * mebibyte));
    expect(sent() - before).toBeLessThanOrEqual(imageBytes - pulled.reusedBytes + mebibyte);
  } finally {
    execFileSync("umount", ["-l", disk]);
  }
}

function counted(whole: ObjectStore): { store: Pick<ObjectStore, "read">; sent: () => number } {
  let bytes = 0;
  const read: ObjectStore["read"] = async (key, range, within) => {
    bytes += range?.lengthBytes ?? (await whole.size(key)) ?? 0;
    return whole.read(key, range, within);
  };
  return { store: { read }, sent: () => bytes };
}
