/** Whatever is wrong with a store, a tree, a bundle or a disk is named by a fault, and nothing is left that looks whole. */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { chunkBytes, locationsKey, packKey, sha256Hex, treeKey } from "../../images/format.ts";
import { imagePaths } from "../../images/layout.ts";
import { pullTree } from "../../images/pull.ts";
import { pushBundle } from "../../images/push.ts";
import { checkPacks, readImage } from "../../images/stored.ts";
import { encodeTree, parseTree, type TreeEntry } from "../../images/tree.ts";
import { folderStore } from "../../stores/folder.ts";
import { memoryStore } from "../../stores/memory.ts";
import type { ObjectStore } from "../../stores/object-store.ts";
import { fromSeed, listTree, makeDisk, workFolder } from "./samples.ts";

// These move megabytes through threads and disks: a second when quiet, many on a computer that runs three suites at once.
vi.setConfig({ testTimeout: 40_000 });

const calm = () => new AbortController().signal;
const isRoot = process.getuid?.() === 0;

/** A bundle of some chunks in a store in memory. */
async function pushed(path: string) {
  const objects = new Map<string, Uint8Array>();
  const store = memoryStore(objects);
  const bundle = join(path, "bundle");
  makeDisk(bundle, "bad input", 12 * chunkBytes);
  const image = await pushBundle({
    bundlePath: bundle,
    store,
    bases: [],
    journalPath: join(path, "journal"),
    generation: 1,
    signal: calm(),
  });
  const pack = [...objects.keys()].find((key) => key.includes("/packs/")) ?? "";
  const pull = (from: ObjectStore = store) =>
    pullTree({ ...image, store: from, targetPath: join(path, "pulled"), seeds: [], signal: calm() });
  return { objects, store, bundle, image, pack, pull, paths: imagePaths(join(path, "pulled")) };
}

const push = (path: string, bundle: string, store: ObjectStore = memoryStore()) =>
  pushBundle({ bundlePath: bundle, store, bases: [], journalPath: join(path, "push-journal"), generation: 1, signal: calm() });

describe("a damaged store", () => {
  it("is told by pack and file when bytes of a pack are wrong twice, and the bundle never gets its seal", async () => {
    await using folder = await workFolder();
    const { objects, pack, pull, paths } = await pushed(folder.path);
    const body = objects.get(pack);
    if (body) body[5 * chunkBytes + 77] = (body[5 * chunkBytes + 77] ?? 0) ^ 1;
    await expect(pull()).rejects.toMatchObject({
      fault: { code: "content_corrupt", message: expect.stringMatching(new RegExp(`${pack.slice(-64)}.*disk.hds`)) },
    });
    expect(existsSync(paths.seal)).toBe(false);
  });

  it("is read once more when bytes were wrong on the way only", async () => {
    await using folder = await workFolder();
    const { store, pull, paths, bundle, pack } = await pushed(folder.path);
    let reads = 0;
    const flipping: ObjectStore = {
      ...store,
      read: async (key, range, signal) => {
        const bytes = Buffer.from(await new Response(await store.read(key, range, signal)).arrayBuffer());
        if (key === pack && ++reads === 1) bytes.writeUInt8(bytes.readUInt8(100) ^ 4, 100);
        return new Blob([bytes]).stream();
      },
    };
    await pull(flipping);
    expect(listTree(paths.bundle)).toEqual(listTree(bundle));
  });

  it("names a pack that is missing, cut short, or of another size", async () => {
    await using folder = await workFolder();
    const { objects, store, image, pack, pull } = await pushed(folder.path);
    const { locations } = await readImage(store, image, calm());
    const body = objects.get(pack) ?? new Uint8Array();
    objects.set(pack, body.subarray(0, body.byteLength - 10));
    await expect(pull()).rejects.toMatchObject({ fault: { code: "content_corrupt" } });
    await expect(checkPacks(store, locations)).rejects.toMatchObject({ fault: { code: "content_corrupt" } });
    objects.delete(pack);
    const missing = { fault: { code: "store_object_missing", message: expect.stringContaining(pack.slice(-64)) } };
    await expect(pull()).rejects.toMatchObject(missing);
    await expect(checkPacks(store, locations)).rejects.toMatchObject(missing);
  });

  it("is told when the tree or the locations are wrong, missing, newer or not of this image", async () => {
    await using folder = await workFolder();
    const { objects, image, pull } = await pushed(folder.path);
    const [tree, locations] = [treeKey(image.digest), locationsKey(image.digest, 1)];
    const good = new Map([tree, locations].map((key) => [key, objects.get(key) ?? new Uint8Array()]));
    const spoil = async (key: string, change: (bytes: Buffer) => Buffer) => {
      objects.set(key, change(Buffer.from(good.get(key) ?? "")));
      const error: unknown = await pull().catch((failure: unknown) => failure);
      objects.set(key, good.get(key) ?? new Uint8Array());
      return (error as { fault?: { code: string } }).fault?.code;
    };
    const flip = (at: number) => (bytes: Buffer) => (bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at), bytes);
    expect(await spoil(tree, flip(200))).toBe("content_corrupt");
    expect(await spoil(tree, (bytes) => bytes.subarray(0, 50))).toBe("content_corrupt");
    for (const at of [0, 44, 45, 80, 84, 88]) expect(await spoil(locations, flip(at)), `${at}`).toBe("content_corrupt");
    expect(await spoil(locations, (bytes) => bytes.subarray(0, -1))).toBe("content_corrupt");
    expect(await spoil(locations, (bytes) => (bytes.writeUInt32LE(2, 8), bytes))).toBe("format_unknown");
    expect(await spoil(locations, flip(20))).toBe("format_unknown");
    objects.delete(locations);
    await expect(pull()).rejects.toMatchObject({ fault: { code: "store_object_missing" } });
  });
});

describe("an evil tree", () => {
  const folderEntry = (path: string): TreeEntry => ({ kind: "folder", path, mode: 0o755, mtimeMs: 0, finderInfo: null });
  const file = (path: string, change: object = {}): TreeEntry => ({
    kind: "file",
    path,
    mode: 0o644,
    mtimeMs: 0,
    finderInfo: null,
    bytes: 0,
    rows: Buffer.alloc(0),
    ...change,
  });
  const link = (path: string, target: string): TreeEntry => ({ kind: "link", path, target, mode: 0o777, mtimeMs: 0, finderInfo: null });
  const row = (index: number) => Buffer.concat([Buffer.from([index, 0, 0, 0]), fromSeed(index, 32)]);

  it.each<[string, TreeEntry[]]>([
    ["a path that leaves the folder", [file("../x")]],
    ["a path that leaves it in its middle", [folderEntry("a"), file("a/../../x")]],
    ["an absolute path", [file("/etc/passwd")]],
    ["a NUL in a path", [file("a\0b")]],
    ["a name of 300 characters", [file("n".repeat(300))]],
    ["an empty name", [folderEntry("a"), file("a//b")]],
    ["a path twice", [file("a"), file("a")]],
    ["paths that are one on a Mac by case", [file("A"), file("a")]],
    ["paths that are one on a Mac by composition", [file("e\u0301"), file("\u00e9")]],
    ["a file in no folder", [file("a/b")]],
    ["a file below a link", [link("a", "."), file("a/b")]],
    ["a file below a file", [file("a"), file("a/b")]],
    ["a link that leaves", [link("a", "../x")]],
    ["an absolute link", [link("a", "/etc")]],
    ["a link that leaves by way of another", [folderEntry("d"), link("d/up", ".."), link("out", "d/up/../..")]],
    ["set-user-id", [file("a", { mode: 0o4755 })]],
    ["chunks beyond the end", [file("a", { bytes: 10, rows: row(1) })]],
    ["chunks out of order", [file("a", { bytes: 3 * chunkBytes, rows: Buffer.concat([row(2), row(1)]) })]],
    ["more chunks than it has", [file("a", { bytes: 10, rows: Buffer.concat([row(0), row(0)]) })]],
  ])("with %s is corrupt, though its digest is right", (_name, entries) => {
    const { bytes, digest } = encodeTree({ entries: [folderEntry(""), ...entries] });
    expect(() => parseTree(bytes, digest)).toThrow(
      expect.objectContaining({ fault: expect.objectContaining({ code: "content_corrupt" }) }),
    );
  });

  it("that is cut anywhere, or counts what it does not have, is corrupt", () => {
    const { bytes } = encodeTree({ entries: [folderEntry(""), file("a", { bytes: 10, rows: row(0) }), link("b", "a")] });
    expect(parseTree(bytes, sha256Hex(bytes)).entries).toHaveLength(3);
    for (let length = 0; length < bytes.byteLength; length++)
      expect(() => parseTree(bytes.subarray(0, length), sha256Hex(bytes.subarray(0, length))), `${length}`).toThrow(/corrupt/);
    const counting = Buffer.from(bytes);
    counting.writeUInt32LE(0xffffffff, 48);
    expect(() => parseTree(counting, sha256Hex(counting))).toThrow(/corrupt/);
  });

  it("may have links that stay inside", () => {
    const { bytes, digest } = encodeTree({ entries: [folderEntry(""), folderEntry("d"), link("d/up", "../d/x"), link("here", "./d/up")] });
    expect(parseTree(bytes, digest).entries.map((entry) => entry.path)).toEqual(["", "d", "d/up", "here"]);
  });
});

describe("a bundle that cannot be kept", () => {
  const refusal = (message: RegExp) => ({ fault: { code: "bundle_refused", message: expect.stringMatching(message) } });

  it("is refused by name with the remedy, before anything is sent", async () => {
    await using folder = await workFolder();
    const objects = new Map<string, Uint8Array>();
    const refused = async (name: string, make: (bundle: string) => void | Promise<void>, message: RegExp) => {
      const bundle = join(folder.path, name);
      makeDisk(bundle, name, 1000);
      await make(bundle);
      await expect(push(folder.path, bundle, memoryStore(objects)), name).rejects.toMatchObject(refusal(message));
    };
    await refused("link out", (bundle) => symlinkSync("../../elsewhere", join(bundle, "away")), /"away" is a link .* replace it/);
    await refused("absolute link", (bundle) => symlinkSync("/etc/passwd", join(bundle, "away")), /"away" is a link/);
    await refused(
      "twins",
      (bundle) => ["Config", "config"].forEach((name) => writeFileSync(join(bundle, name), "")),
      /differs from .* only in case/,
    );
    await refused(
      "compositions",
      (bundle) => ["e\u0301", "\u00e9"].forEach((name) => writeFileSync(join(bundle, name), "")),
      /only in case or composition/,
    );
    await refused("pipe", (bundle) => void execFileSync("mkfifo", [join(bundle, "pipe")]), /"pipe" is a device, socket or pipe.*remove it/);
    const server = createServer();
    await refused(
      "socket",
      (bundle) => new Promise((resolve) => server.listen(join(bundle, "s"), resolve)),
      /"s" is a device, socket or pipe/,
    );
    await new Promise((resolve) => server.close(resolve));
    expect(objects.size).toBe(0);
  });

  it("is not found when there is no folder", async () => {
    await using folder = await workFolder();
    await expect(push(folder.path, join(folder.path, "nothing"))).rejects.toMatchObject({ fault: { code: "bundle_not_found" } });
    writeFileSync(join(folder.path, "file"), "x");
    await expect(push(folder.path, join(folder.path, "file"))).rejects.toMatchObject({ fault: { code: "bundle_not_found" } });
  });

  it.each([
    ["a file grows", (bundle: string) => writeFileSync(join(bundle, "config.pvs"), "longer than it was before")],
    ["a file appears", (bundle: string) => writeFileSync(join(bundle, "new"), "")],
    ["a mode changes", (bundle: string) => chmodSync(join(bundle, "config.pvs"), 0o600)],
    ["a folder appears", (bundle: string) => mkdirSync(join(bundle, "disk.hdd", "sub"))],
  ])("is refused as changed when %s while it is read, and no tree is written", async (_name, change) => {
    await using folder = await workFolder();
    const bundle = join(folder.path, "bundle");
    makeDisk(bundle, "changing", 6 * chunkBytes);
    const objects = new Map<string, Uint8Array>();
    const store = memoryStore(objects);
    const meddling: ObjectStore = { ...store, write: (...given) => (change(bundle), store.write(...given)) };
    await expect(push(folder.path, bundle, meddling)).rejects.toMatchObject({ fault: { code: "bundle_changed" } });
    expect([...objects.keys()].filter((key) => !key.includes("/packs/"))).toEqual([]);
  });
});

describe("cancelling", () => {
  it("ends a push and a pull with the signal's reason, and publishes nothing", async () => {
    await using folder = await workFolder();
    const { image, store, objects, paths, bundle } = await pushed(folder.path);
    const before = objects.size;
    const cancel = new AbortController();
    const stopping: ObjectStore = {
      ...store,
      read: (...given) => (cancel.abort(), store.read(...given)),
      write: (...given) => (cancel.abort(), store.write(...given)),
    };
    writeFileSync(join(bundle, "more"), fromSeed("more", 5000));
    await expect(
      pushBundle({
        bundlePath: bundle,
        store: stopping,
        bases: [],
        journalPath: join(folder.path, "j"),
        generation: 1,
        signal: cancel.signal,
      }),
    ).rejects.toMatchObject({ name: "AbortError" });
    const again = new AbortController();
    const slow: ObjectStore = {
      ...store,
      read: async (...given) => (given[0] === packKey(given[0].slice(-64)) && again.abort(), store.read(...given)),
    };
    await expect(pullTree({ ...image, store: slow, targetPath: paths.folder, seeds: [], signal: again.signal })).rejects.toMatchObject({
      name: "AbortError",
    });
    expect(objects.size).toBe(before);
    expect(existsSync(paths.seal)).toBe(false);
  });
});

describe("a full disk", () => {
  it.skipIf(!isRoot)("is no_space for a pull and for a folder store, and nothing is sealed or visible", async () => {
    await using folder = await workFolder();
    const mount = join(folder.path, "small");
    mkdirSync(mount);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=6m", "tmpfs", mount]);
    try {
      const bundle = join(folder.path, "bundle");
      makeDisk(bundle, "too big", 20 * 1024 * 1024);
      const store = memoryStore();
      const image = await push(folder.path, bundle, store);
      const paths = imagePaths(join(mount, "incoming"));
      await expect(pullTree({ ...image, store, targetPath: paths.folder, seeds: [], signal: calm() })).rejects.toMatchObject({
        fault: { code: "no_space" },
      });
      expect(existsSync(paths.seal)).toBe(false);
      execFileSync("rm", ["-r", paths.folder]);
      const small = folderStore(join(mount, "store"));
      const full = pushBundle({
        bundlePath: bundle,
        store: small,
        bases: [],
        journalPath: join(folder.path, "j2"),
        generation: 1,
        signal: calm(),
      });
      await expect(full).rejects.toMatchObject({ fault: { code: "no_space" } });
      // A later, smaller pack may have found room: then it is whole.
      for (const { key } of await Array.fromAsync(small.list(""))) {
        const body = Buffer.from(await new Response(await small.read(key, null, calm())).arrayBuffer());
        expect(packKey(sha256Hex(body))).toBe(key);
      }
    } finally {
      execFileSync("umount", ["-l", mount]);
    }
  });
});
