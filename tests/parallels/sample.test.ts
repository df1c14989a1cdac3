/** Sample bundles are real: tools that know nothing of us read their disks. */
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { hdsToRaw, rawToHds } from "../../parallels/bundle/raw-disk.ts";
import { readHdsInfo } from "../../parallels/hds.ts";
import { changeDisk } from "../../parallels/sample/change.ts";
import { makeSampleBundle, makeSampleMacvm, type Sample } from "../../parallels/sample/make.ts";
import { hasTool } from "./tools.ts";

// A call takes 40 ms, and twenty times that on a computer with much else to do.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const path = process.env["PATH"] ?? "";
const mebibyte = 1024 ** 2;
const hasQemu = await hasTool("qemu-img");
const hasExt4 = (await hasTool("mke2fs")) && (await hasTool("debugfs"));
let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "drover-sample-"))));
afterAll(() => rm(folder, { recursive: true, force: true }));

const qemu = (...args: string[]) => execFileSync("qemu-img", args, { encoding: "utf8" });
const allocatedBytes = async (file: string) => (await stat(file)).blocks * 512;

describe.skipIf(!hasQemu || !hasExt4)("a sample with ext4 (needs qemu-img, mke2fs, debugfs)", () => {
  let sample: Sample;
  beforeAll(
    async () => void (sample = await makeSampleBundle({ folder, name: "sample", bytes: 96 * mebibyte, contentBytes: 24 * mebibyte, path })),
    180_000,
  );

  it("has a disk that qemu-img finds without errors and equal to the raw image it reads", async () => {
    const raw = join(folder, "sample.raw");
    await hdsToRaw(sample.imagePath, raw);
    expect(qemu("check", "-f", "parallels", sample.imagePath)).toContain("No errors were found");
    expect(qemu("compare", "-f", "parallels", "-F", "raw", sample.imagePath, raw)).toContain("Images are identical");
    expect(execFileSync("debugfs", ["-R", "ls", raw], { encoding: "utf8" })).toContain("source-0");
  });

  it("gives holes no place in the file", async () => {
    const info = await readHdsInfo(sample.imagePath);
    expect(info.diskBytes).toBe(96 * mebibyte);
    expect(info.allocatedClusters).toBeGreaterThan(20);
    expect(info.allocatedClusters).toBeLessThan(60);
    expect((await stat(sample.imagePath)).size).toBe((info.allocatedClusters + 1) * mebibyte);
  });

  it("changes few clusters, in place, and stays a disk that qemu-img accepts", async () => {
    const change = await changeDisk(sample.bundlePath, { bytes: 2 * mebibyte, path });
    expect(change.way).toBe("debugfs");
    expect(change.changedClusters).toBeGreaterThanOrEqual(2);
    expect(change.changedClusters).toBeLessThan(8);
    expect(qemu("check", "-f", "parallels", sample.imagePath)).toContain("No errors were found");
    const raw = join(folder, "changed.raw");
    await hdsToRaw(sample.imagePath, raw);
    execFileSync("e2fsck", ["-fn", raw]);
  });

  it("reads what qemu-img writes, and writes what qemu-img reads, at a size that is no multiple of a cluster", async () => {
    const [raw, theirs, ours, back] = ["odd.raw", "theirs.hds", "ours.hds", "back.raw"].map((name) => join(folder, name)) as [
      string,
      string,
      string,
      string,
    ];
    qemu("create", "-f", "raw", raw, String(5 * mebibyte + 512 * 3));
    execFileSync("qemu-io", ["-f", "raw", "-c", "write -P 0x5a 1M 64k", "-c", "write -P 0x17 5M 1536", raw]);
    await rawToHds(raw, ours);
    expect(qemu("check", "-f", "parallels", ours)).toContain("No errors were found");
    expect(qemu("compare", "-f", "parallels", "-F", "raw", ours, raw)).toContain("Images are identical");
    qemu("convert", "-f", "raw", "-O", "parallels", raw, theirs);
    await hdsToRaw(theirs, back);
    expect(qemu("compare", "-f", "raw", "-F", "raw", back, raw)).toContain("Images are identical");
  });
});

describe("a sample without tools", () => {
  it("says that a pattern took the place of a file system, the same for the same name, and can be changed", async () => {
    const options = { bytes: 32 * mebibyte, contentBytes: 8 * mebibyte, path, content: "pattern" } as const;
    const one = await makeSampleBundle({ ...options, folder, name: "one" });
    const same = await makeSampleBundle({ ...options, folder: join(folder, "again"), name: "one" });
    const other = await makeSampleBundle({ ...options, folder, name: "other" });
    expect(one).toMatchObject({ content: "pattern", contentBytes: 8 * mebibyte, files: 0 });
    expect((await readFile(one.imagePath)).equals(await readFile(same.imagePath))).toBe(true);
    expect((await readFile(one.imagePath)).equals(await readFile(other.imagePath))).toBe(false);
    const change = await changeDisk(one.bundlePath, { bytes: 3 * mebibyte, path });
    expect(change).toEqual({ way: "clusters", changedClusters: 3 });
    expect(await readHdsInfo(one.imagePath)).toMatchObject({ allocatedClusters: 8, inUse: false });
  });

  it("makes a macOS bundle with a plain, sparse disk and Apple's three files", async () => {
    const sample = await makeSampleMacvm({ folder, name: "mac", bytes: 256 * mebibyte, contentBytes: 4 * mebibyte });
    expect((await readdir(sample.bundlePath)).toSorted()).toEqual(["aux.bin", "config.pvs", "harddisk.hdd", "machw.bin", "macid.bin"]);
    expect((await stat(sample.imagePath)).size).toBe(256 * mebibyte);
    expect(await allocatedBytes(sample.imagePath)).toBeLessThan(8 * mebibyte);
    expect(await changeDisk(sample.bundlePath, { bytes: mebibyte, path })).toEqual({ way: "clusters", changedClusters: 1 });
  });
});
