/** What goes in comes out: whole bundles, pushed and pulled, compared bit by bit. */
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { FaultError } from "../../domain/errors.ts";
import { cloneFolder } from "../../images/clone-file.ts";
import { chunkBytes } from "../../images/format.ts";
import { imagePaths } from "../../images/layout.ts";
import type { Line } from "../../images/line.ts";
import { pullTree, type PullAsk, type PullResult } from "../../images/pull.ts";
import { pushBundle, type PushAsk } from "../../images/push.ts";
import { parseSeal, sealHolds } from "../../images/seal.ts";
import { checkPacks, readImage } from "../../images/stored.ts";
import { verifyFolder } from "../../images/verify.ts";
import { memoryStore } from "../../stores/memory.ts";
import { fromSeed, listTree, makeDisk, makeTree, workFolder } from "./samples.ts";

// These move megabytes through threads and disks: a second when quiet, many on a computer that runs three suites at once.
vi.setConfig({ testTimeout: 40_000 });

const calm = () => new AbortController().signal;

/** One store, and the push and pull of one folder. */
function world(path: string) {
  const objects = new Map<string, Uint8Array>();
  const store = memoryStore(objects);
  let turn = 0;
  const push = (bundle: string, ask: Partial<PushAsk> = {}) =>
    pushBundle({
      bundlePath: bundle,
      store,
      bases: [],
      journalPath: join(path, `journal-${++turn}`),
      generation: 1,
      signal: calm(),
      ...ask,
    });
  const pull = (ref: { digest: string; generation: number }, ask: Partial<PullAsk> = {}): Promise<PullResult> =>
    pullTree({ ...ref, store, targetPath: join(path, "pulled"), seeds: [], signal: calm(), ...ask });
  return { objects, store, push, pull, pulled: join(path, "pulled", "bundle") };
}

describe("round trip", () => {
  const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));
  it.each([0, 1, 2, 3, 4].map((n) => seed + n))("gives back a random folder bit by bit (SEED=%i)", async (of) => {
    await using folder = await workFolder();
    const bundle = join(folder.path, "bundle");
    makeTree(bundle, of);
    const { push, pull, pulled, store } = world(folder.path);
    const image = await push(bundle);
    await pull(image);
    expect(listTree(pulled)).toEqual(listTree(bundle));
    expect((await push(pulled)).digest).toBe(image.digest);
    const { tree, locations } = await readImage(store, image, calm());
    await checkPacks(store, locations);
    expect(await verifyFolder({ path: pulled, tree, full: true, seal: null, signal: calm() })).toEqual([]);
  });

  it("keeps a file of 5 GiB sparse in the store, on the wire and on the disk", async () => {
    await using folder = await workFolder();
    const bundle = join(folder.path, "bundle");
    makeDisk(bundle, "sparse", 300_000);
    const disk = join(bundle, "disk.hdd", "disk.hds");
    truncateSync(disk, 5 * 1024 ** 3 + 12_345);
    poke(disk, 4.5 * 1024 ** 3, fromSeed("far", 70_000));
    poke(disk, 5 * 1024 ** 3 + 12_345 - 5, Buffer.from("end!!"));
    const { push, pull, pulled } = world(folder.path);
    const image = await push(bundle);
    expect(image.storedBytes).toBeLessThan(400_000);
    const { fetchedBytes } = await pull(image);
    expect(fetchedBytes).toBeLessThan(400_000);
    const copy = join(pulled, "disk.hdd", "disk.hds");
    expect(statSync(copy).size).toBe(statSync(disk).size);
    expect(statSync(copy).blocks * 512).toBeLessThan(2_000_000);
    expect(peek(copy, 4.5 * 1024 ** 3 - 10, 70_020).equals(peek(disk, 4.5 * 1024 ** 3 - 10, 70_020))).toBe(true);
    expect(peek(copy, 5 * 1024 ** 3 + 12_340, 5).toString()).toBe("end!!");
  });

  it("keeps the holes in a copy of a folder", async () => {
    await using folder = await workFolder();
    const bundle = join(folder.path, "bundle");
    makeTree(bundle, seed);
    writeFileSync(join(bundle, "sparse"), fromSeed("s", 10_000));
    truncateSync(join(bundle, "sparse"), 2 ** 31);
    await cloneFolder(bundle, join(folder.path, "copy"), calm());
    expect(statSync(join(folder.path, "copy", "sparse")).blocks * 512).toBeLessThan(1_000_000);
    truncateSync(join(folder.path, "copy", "sparse"), 10_000);
    truncateSync(join(bundle, "sparse"), 10_000);
    const withoutTimes = (lines: string[]) => lines.map((line) => line.replace(/^(file sparse \d+) \d+/, "$1"));
    expect(withoutTimes(listTree(join(folder.path, "copy")))).toEqual(withoutTimes(listTree(bundle)));
  });
});

describe("push", () => {
  it("sends nothing for content that the store has", async () => {
    await using folder = await workFolder();
    const bundle = join(folder.path, "bundle");
    makeDisk(bundle, "again", 3_000_000);
    const { push, objects } = world(folder.path);
    const first = await push(bundle);
    const keys = [...objects.keys()];
    const second = await push(bundle, { bases: [first], generation: 7 });
    expect(second).toMatchObject({
      digest: first.digest,
      generation: first.generation,
      newBytes: 0,
      sentBytes: 0,
      newChunks: 0,
      storedBytes: first.storedBytes,
    });
    expect([...objects.keys()]).toEqual(keys);
  });

  it("sends only the clusters that were rewritten in place", async () => {
    await using folder = await workFolder();
    const bundle = join(folder.path, "bundle");
    makeDisk(bundle, "delta", 30 * chunkBytes);
    const { push, pull, pulled } = world(folder.path);
    const first = await push(bundle);
    for (const chunk of [3, 17]) poke(join(bundle, "disk.hdd", "disk.hds"), chunk * chunkBytes + 1000, fromSeed(`new ${chunk}`, 4096));
    const second = await push(bundle, { bases: [first] });
    expect(second).toMatchObject({ newChunks: 2, reusedBytes: 28 * chunkBytes + "<ParallelsVirtualMachine/>".length });
    expect(second.newBytes).toBeLessThanOrEqual(2 * chunkBytes);
    await pull(second);
    expect(listTree(pulled)).toEqual(listTree(bundle));
  });

  it("takes chunks from several bases at once, and its own from new packs", async () => {
    await using folder = await workFolder();
    const { push, pull, pulled } = world(folder.path);
    const images = [];
    for (const name of ["one", "two", "three"]) {
      makeDisk(join(folder.path, name), name, 5 * chunkBytes);
      images.push(await push(join(folder.path, name)));
    }
    const mixed = join(folder.path, "mixed");
    makeDisk(mixed, "four", 5 * chunkBytes);
    ["three", "one", "two"].forEach((name, n) => makeDisk(join(mixed, `copy ${n}`), name, 5 * chunkBytes));
    const image = await push(mixed, { bases: images });
    expect(image).toMatchObject({ newChunks: 5, packs: 4 });
    await pull(image);
    expect(listTree(pulled)).toEqual(listTree(mixed));
  });

  it("stores a chunk once, however often it occurs", async () => {
    await using folder = await workFolder();
    const bundle = join(folder.path, "bundle");
    makeDisk(bundle, "one", chunkBytes);
    for (let n = 0; n < 40; n++) poke(join(bundle, "disk.hdd", "disk.hds"), n * chunkBytes, fromSeed("one", chunkBytes));
    const { push, pull, pulled } = world(folder.path);
    const image = await push(bundle);
    expect(image).toMatchObject({ chunks: 41, newChunks: 2 });
    expect(image.storedBytes).toBeLessThan(chunkBytes + 1000);
    const { fetchedBytes } = await pull(image);
    expect(fetchedBytes).toBeLessThan(chunkBytes + 1000);
    expect(listTree(pulled)).toEqual(listTree(bundle));
  });

  it("takes no more of the line than its share, on the way up and on the way down", async () => {
    await using folder = await workFolder();
    makeDisk(join(folder.path, "bundle"), "slow", 20 * chunkBytes);
    const { push, pull } = world(folder.path);
    const taken: number[] = [];
    const line: Line = { take: async (bytes) => void taken.push(bytes) };
    const image = await push(join(folder.path, "bundle"), { line });
    const took = () => taken.splice(0).reduce((sum, bytes) => sum + bytes, 0);
    expect(took()).toBe(image.sentBytes);
    const { fetchedBytes } = await pull(image, { line });
    expect(took()).toBe(fetchedBytes);
  });

  it("gives equal bundles equal digests, in whatever order their chunks were packed", async () => {
    await using folder = await workFolder();
    makeDisk(join(folder.path, "bundle"), "order", 40 * chunkBytes);
    const one = await world(folder.path).push(join(folder.path, "bundle"), { threads: 1 });
    const two = await world(folder.path).push(join(folder.path, "bundle"), { threads: 2, journalPath: join(folder.path, "other") });
    expect(two.digest).toBe(one.digest);
  });
});

describe("pull", () => {
  it("starts from a seed and fetches only the difference, making holes where the seed had data", async () => {
    await using folder = await workFolder();
    const bundle = join(folder.path, "bundle");
    makeDisk(bundle, "seeded", 20 * chunkBytes);
    const { push, pull } = world(folder.path);
    const first = await push(bundle);
    await pull(first, { targetPath: join(folder.path, "one") });
    const disk = join(bundle, "disk.hdd", "disk.hds");
    poke(disk, 5 * chunkBytes, Buffer.alloc(2 * chunkBytes));
    poke(disk, 9 * chunkBytes + 7, Buffer.from("changed"));
    truncateSync(disk, 19 * chunkBytes - 100);
    const second = await push(bundle, { bases: [first] });
    const seeds = [{ digest: first.digest, path: join(folder.path, "one") }];
    const result = await pull(second, { targetPath: join(folder.path, "two"), seeds });
    expect(result.fetchedBytes).toBeLessThanOrEqual(2 * chunkBytes);
    const paths = imagePaths(join(folder.path, "two"));
    expect(listTree(paths.bundle)).toEqual(listTree(bundle));
    expect(statSync(join(paths.bundle, "disk.hdd", "disk.hds")).blocks * 512).toBeLessThanOrEqual(17 * chunkBytes);
    const seal = parseSeal(readFileSync(paths.seal, "utf8"));
    expect(seal && (await sealHolds(paths.bundle, seal))).toBe(true);
  });

  it("has ended all its copying when a store that fails ends it", async () => {
    await using folder = await workFolder();
    const bundle = join(folder.path, "bundle");
    makeDisk(bundle, "copied", 480 * chunkBytes);
    const { push, pull, store } = world(folder.path);
    const first = await push(bundle);
    const seeds = [{ digest: first.digest, path: join(folder.path, "one") }];
    await pull(first, { targetPath: join(folder.path, "one") });
    poke(join(bundle, "disk.hdd", "disk.hds"), 0, Buffer.from("changed"));
    const second = await push(bundle, { bases: [first] });
    const read: typeof store.read = async (key, range, signal) => {
      if (range) throw new FaultError({ code: "store_unavailable", message: "It is away." });
      return store.read(key, range, signal);
    };
    const target = join(folder.path, "two");
    const failing = pull(second, { targetPath: target, seeds, store: { ...store, read } });
    await expect(failing).rejects.toMatchObject({ fault: { code: "store_unavailable" } });
    expect(openBelow(target)).toEqual([]);
    await pull(second, { targetPath: target, seeds });
    expect(listTree(join(target, "bundle"))).toEqual(listTree(bundle));
  });

  it("does not believe a seed whose seal is broken", async () => {
    await using folder = await workFolder();
    const bundle = join(folder.path, "bundle");
    makeDisk(bundle, "broken seal", 8 * chunkBytes);
    const { push, pull, pulled } = world(folder.path);
    const image = await push(bundle);
    await pull(image, { targetPath: join(folder.path, "seed") });
    const damaged = join(folder.path, "seed", "bundle", "disk.hdd", "disk.hds");
    poke(damaged, 2 * chunkBytes, Buffer.from("damage"));
    poke(damaged, 8 * chunkBytes, Buffer.from("longer"));
    await pull(image, { seeds: [{ digest: image.digest, path: join(folder.path, "seed") }] });
    expect(listTree(pulled)).toEqual(listTree(bundle));
  });

  it("counts of an earlier attempt only what hashes right, and removes what the tree does not have", async () => {
    await using folder = await workFolder();
    const bundle = join(folder.path, "bundle");
    makeDisk(bundle, "half there", 20 * chunkBytes);
    const { push, pull, pulled } = world(folder.path);
    const image = await push(bundle);
    await pull(image);
    const disk = join(pulled, "disk.hdd", "disk.hds");
    poke(disk, 3 * chunkBytes + 5, Buffer.from("wrong"));
    truncateSync(disk, 15 * chunkBytes);
    await mkdir(join(pulled, "foreign"));
    writeFileSync(join(pulled, "foreign", "file"), "x");
    await rm(join(pulled, "config.pvs"));
    await mkdir(join(pulled, "config.pvs"));
    const again = await pull(image);
    expect(listTree(pulled)).toEqual(listTree(bundle));
    expect(again.reusedBytes).toBe(14 * chunkBytes);
  });
});

/** What this process has open in a folder, where the system tells. */
function openBelow(path: string): string[] {
  const links = existsSync("/proc/self/fd") ? readdirSync("/proc/self/fd") : [];
  return links.flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.startsWith(path) ? [target] : [];
    } catch {
      return []; // Closed meanwhile.
    }
  });
}

function poke(path: string, position: number, bytes: Buffer): void {
  const fd = openSync(path, "r+");
  writeSync(fd, bytes, 0, bytes.byteLength, position);
  closeSync(fd);
}

function peek(path: string, position: number, length: number): Buffer {
  const fd = openSync(path, "r");
  const bytes = Buffer.alloc(length);
  readSync(fd, bytes, 0, length, position);
  closeSync(fd);
  return bytes;
}
