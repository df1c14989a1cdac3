/** Where the file system clones files, a machine and the next version of an image take no room but for what differs. Skipped where none can be mounted. */
import { closeSync, openSync, writeSync } from "node:fs";
import { statfs } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openCloneDisk, type CloneDisk } from "../../bench/clone-disk.ts";
import { cloneFolder } from "../../images/clone-file.ts";
import { chunkBytes } from "../../images/format.ts";
import { imagePaths } from "../../images/layout.ts";
import { pullTree } from "../../images/pull.ts";
import { pushBundle } from "../../images/push.ts";
import { memoryStore } from "../../stores/memory.ts";
import { fromSeed, listTree, makeDisk, workFolder } from "./samples.ts";

const bundleBytes = 32 * 1024 * 1024;
const mebibyte = 1024 * 1024;
const signal = new AbortController().signal;
let folder: Awaited<ReturnType<typeof workFolder>>;
let disk: CloneDisk | string;
beforeAll(async () => {
  folder = await workFolder();
  disk = await openCloneDisk(folder.path, 512 * mebibyte, process.env["PATH"] ?? "");
});
afterAll(async () => {
  if (typeof disk !== "string") await disk.close();
  await folder[Symbol.asyncDispose]();
});

async function roomTaken(path: string, act: () => Promise<unknown>): Promise<number> {
  const free = async () => {
    const { bfree, bsize } = await statfs(path);
    return bfree * bsize;
  };
  const before = await free();
  await act();
  return before - (await free());
}

it("clones a bundle, and a delta pull its seed, for the room of what differs", { timeout: 120_000 }, async (context) => {
  if (typeof disk === "string") return context.skip(disk);
  const { path } = disk;
  const bundle = join(folder.path, "bundle");
  makeDisk(bundle, "cloned", bundleBytes);
  const push = { bundlePath: bundle, store: memoryStore(), generation: 1, signal };
  const first = await pushBundle({ ...push, bases: [], journalPath: join(folder.path, "j1") });
  await pullTree({ ...first, store: push.store, targetPath: join(path, "one"), seeds: [], signal });
  const machine = join(path, "machine");
  expect(
    await roomTaken(path, async () => expect(await cloneFolder(imagePaths(join(path, "one")).bundle, machine, signal)).toBe("cloned")),
  ).toBeLessThan(2 * mebibyte);
  expect(listTree(machine)).toEqual(listTree(bundle));

  const fd = openSync(join(bundle, "disk.hdd", "disk.hds"), "r+");
  writeSync(fd, fromSeed("other", chunkBytes), 0, chunkBytes, 5 * chunkBytes);
  closeSync(fd);
  const second = await pushBundle({ ...push, bases: [first], journalPath: join(folder.path, "j2") });
  const seeds = [{ digest: first.digest, path: join(path, "one") }];
  const taken = await roomTaken(path, () => pullTree({ ...second, store: push.store, targetPath: join(path, "two"), seeds, signal }));
  expect(taken).toBeLessThan(4 * mebibyte);
  expect(listTree(imagePaths(join(path, "two")).bundle)).toEqual(listTree(bundle));
});
