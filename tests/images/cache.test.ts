/** The cache of a host: whole or not there, evicted by last use, never a pinned image. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, statfsSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { openCache } from "../../images/cache.ts";
import type { Uses } from "../../images/cache-room.ts";
import { pullTree } from "../../images/pull.ts";
import { pushBundle } from "../../images/push.ts";
import { sealHolds } from "../../images/seal.ts";
import { verifyFolder } from "../../images/verify.ts";
import { memoryStore } from "../../stores/memory.ts";
import { listTree, makeDisk, workFolder } from "./samples.ts";

// These move megabytes through threads and disks: a second when quiet, many on a computer that runs three suites at once.
vi.setConfig({ testTimeout: 40_000 });

const calm = () => new AbortController().signal;
const digestOf = (letter: string) => letter.repeat(64);

/** As if operations used these images. */
const usesOf = (...letters: string[]): Uses => {
  const isUsed = (digest: string) => letters.some((letter) => digestOf(letter) === digest);
  return {
    isUsed,
    unlessUsed: async (digest, act) => {
      if (!isUsed(digest)) await act();
      return !isUsed(digest);
    },
  };
};

/** Puts an image of `bytes` in place, last used `minutes` ago. */
function plant(root: string, digest: string, bytes: number, minutes: number): void {
  mkdirSync(join(root, digest, "bundle"), { recursive: true });
  writeFileSync(join(root, digest, "bundle", "disk"), Buffer.alloc(bytes, 1));
  const used = new Date(Date.now() - minutes * 60_000);
  utimesSync(join(root, digest), used, used);
}

describe("cache", () => {
  it("shows an image only once it is revealed, whole and sealed", async () => {
    await using folder = await workFolder();
    const bundle = join(folder.path, "bundle");
    makeDisk(bundle, "cached", 1_000_000);
    const store = memoryStore();
    const image = await pushBundle({
      bundlePath: bundle,
      store,
      bases: [],
      journalPath: join(folder.path, "j"),
      generation: 1,
      signal: calm(),
    });
    const cache = openCache(join(folder.path, "cache"));
    expect(await cache.list()).toEqual([]);
    await pullTree({ ...image, store, targetPath: cache.incoming(image.digest).folder, seeds: [], signal: calm() });
    expect(await cache.has(image.digest)).toBe(false);
    await cache.reveal(image.digest);
    await cache.reveal(image.digest);
    expect(await cache.list()).toMatchObject([{ digest: image.digest }]);
    const opened = await cache.open(image.digest);
    const paths = cache.paths(image.digest);
    expect(opened?.seal && (await sealHolds(paths.bundle, opened.seal))).toBe(true);
    expect(listTree(paths.bundle)).toEqual(listTree(bundle));
    await cache.remove(image.digest);
    await cache.remove(image.digest);
    expect(await cache.list()).toEqual([]);
    expect(await cache.open(image.digest)).toBeNull();
  });

  it("finds a broken seal, and what a full look finds behind an unbroken one", async () => {
    await using folder = await workFolder();
    const bundle = join(folder.path, "bundle");
    makeDisk(bundle, "scrub", 1_000_000);
    const store = memoryStore();
    const image = await pushBundle({
      bundlePath: bundle,
      store,
      bases: [],
      journalPath: join(folder.path, "j"),
      generation: 1,
      signal: calm(),
    });
    const cache = openCache(join(folder.path, "cache"));
    await pullTree({ ...image, store, targetPath: cache.incoming(image.digest).folder, seeds: [], signal: calm() });
    await cache.reveal(image.digest);
    const { bundle: cached } = cache.paths(image.digest);
    const opened = await cache.open(image.digest);
    if (!opened?.seal) throw new Error("The image has no seal.");
    const look = (full: boolean) => verifyFolder({ path: cached, tree: opened.tree, seal: opened.seal, full, signal: calm() });
    expect(await look(true)).toEqual([]);
    writeFileSync(join(cached, "config.pvs"), "<ParallelsVirtualMachinE/>");
    writeFileSync(join(cached, "extra"), "");
    expect(await sealHolds(cached, opened.seal)).toBe(false);
    const problems = [
      { path: "extra", problem: "unexpected" },
      { path: "config.pvs", problem: "content" },
    ];
    expect(await look(false)).toEqual(problems);
    rmSync(join(cached, "extra"));
    rmSync(join(cached, "disk.hdd"), { recursive: true });
    expect((await look(true)).map(({ path, problem }) => `${path} ${problem}`).sort()).toEqual([
      "config.pvs content",
      "disk.hdd missing",
      "disk.hdd/disk.hds missing",
    ]);
  });

  it("leaves foreign and half-removed things out of its list, and sweeps what kills left", async () => {
    await using folder = await workFolder();
    const root = join(folder.path, "cache");
    const cache = openCache(root);
    plant(root, digestOf("a"), 1000, 5);
    mkdirSync(join(root, "something-else"));
    mkdirSync(join(root, ".going", "x", "bundle"), { recursive: true });
    mkdirSync(join(root, ".incoming", digestOf("b")), { recursive: true });
    expect((await cache.list()).map(({ digest }) => digest)).toEqual([digestOf("a")]);
    await cache.sweep(Date.now() - 60_000);
    expect(readdirSync(join(root, ".incoming"))).toEqual([digestOf("b")]);
    await cache.sweep(Date.now() + 60_000);
    expect(existsSync(join(root, ".going"))).toBe(false);
    expect(readdirSync(join(root, ".incoming"))).toEqual([]);
    expect(() => cache.paths("../evil")).toThrow(/not the digest/);
  });

  it("orders by last use, and a touch makes an image the newest", async () => {
    await using folder = await workFolder();
    const cache = openCache(folder.path);
    plant(folder.path, digestOf("a"), 10, 30);
    plant(folder.path, digestOf("b"), 10, 20);
    expect((await cache.list()).map(({ digest }) => digest[0])).toEqual(["b", "a"]);
    await cache.touch(digestOf("a"));
    await cache.touch(digestOf("c"));
    expect((await cache.list()).map(({ digest }) => digest[0])).toEqual(["a", "b"]);
  });

  it("holds no more than its budget, and never evicts what was pinned by hand", async () => {
    await using folder = await workFolder();
    const cache = openCache(folder.path);
    ["a", "b", "c"].forEach((letter, n) => plant(folder.path, digestOf(letter), 1_048_576, 40 - n));
    await cache.pin(digestOf("a"));
    const ask = { bytes: 1_048_576, keepBytes: 0, uses: usesOf() };
    expect(await cache.ensureRoom({ ...ask, maximumBytes: 5_000_000 })).toEqual([]);
    expect(await cache.ensureRoom({ ...ask, maximumBytes: 3_500_000 })).toEqual([digestOf("b")]);
    await expect(cache.ensureRoom({ ...ask, maximumBytes: 2_000_000 })).rejects.toMatchObject({ fault: { code: "no_space" } });
    expect((await cache.list()).map(({ digest, pinned }) => [digest[0], pinned])).toEqual([
      ["c", false],
      ["a", true],
    ]);
    await cache.unpin(digestOf("a"));
    expect(await cache.ensureRoom({ ...ask, maximumBytes: 2_500_000 })).toEqual([digestOf("a")]);
  });

  it.skipIf(process.getuid?.() !== 0)(
    "evicts the least recently used that is not pinned, no more than needed, and nothing when it would not suffice",
    async () => {
      await using folder = await workFolder();
      const mount = join(folder.path, "small");
      mkdirSync(mount);
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=16m", "tmpfs", mount]);
      try {
        const cache = openCache(mount);
        ["a", "b", "c", "d"].forEach((letter, n) => plant(mount, digestOf(letter), 3_000_000, 40 - n));
        const uses = usesOf("a");
        const ask = { keepBytes: 0, maximumBytes: null, uses };
        const { bavail, bsize } = statfsSync(mount);
        const free = bavail * bsize;
        expect(await cache.ensureRoom({ ...ask, bytes: free - 1_000_000 })).toEqual([]);
        await expect(cache.ensureRoom({ ...ask, bytes: free + 9_900_000 })).rejects.toMatchObject({
          fault: { code: "no_space" },
        });
        expect(await cache.list()).toHaveLength(4);
        expect(await cache.ensureRoom({ ...ask, bytes: free + 3_500_000, keepBytes: 100_000 })).toEqual([digestOf("b"), digestOf("c")]);
        expect((await cache.list()).map(({ digest }) => digest[0])).toEqual(["d", "a"]);
      } finally {
        execFileSync("umount", ["-l", mount]);
      }
    },
  );
});
