/** Expanding disks: what is no disk is refused, and writes go where the format says. */
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { isZero } from "./bundle/raw-disk.ts";
import { clusterBytes, createHds, openHds, readHdsInfo, rewriteClusters } from "./hds.ts";

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "drover-hds-"))));
afterAll(() => rm(folder, { recursive: true, force: true }));

async function disk(name: string, clusters = 8): Promise<string> {
  const path = join(folder, name);
  await createHds(path, clusters * clusterBytes);
  return path;
}
const patched = async (name: string, offset: number, value: number) => {
  const path = await disk(name);
  const bytes = await readFile(path);
  bytes.writeUInt32LE(value, offset);
  await writeFile(path, bytes);
  return path;
};

describe("an expanding disk", () => {
  it("starts as one cluster of header, without data", async () => {
    const path = await disk("empty.hds");
    expect(await readHdsInfo(path)).toEqual({ diskBytes: 8 * clusterBytes, clusterBytes, clusters: 8, allocatedClusters: 0, inUse: false });
    expect((await stat(path)).size).toBe(clusterBytes);
    await expect(createHds(path, clusterBytes)).rejects.toThrow("EEXIST");
  });

  it("gives a hole a place at its end and rewrites a cluster where it is", async () => {
    const path = await disk("written.hds");
    const filled = (byte: number) => Buffer.alloc(clusterBytes, byte);
    await rewriteClusters(path, [
      [5, filled(5)],
      [2, filled(2)],
    ]);
    expect(await rewriteClusters(path, [[5, filled(7)]])).toBe(1);
    const bytes = await readFile(path);
    expect([bytes.length, bytes[clusterBytes], bytes[2 * clusterBytes]]).toEqual([3 * clusterBytes, 7, 2]);
    const hds = await openHds(path);
    const into = Buffer.alloc(clusterBytes, 1);
    expect([await hds.readCluster(2, into), into[0], await hds.readCluster(0, into), isZero(into)]).toEqual([true, 2, false, true]);
    await expect(hds.readCluster(8, into)).rejects.toThrow("outside");
    await hds.close();
  });

  it("is marked as in use while it is open for writing", async () => {
    const path = await disk("busy.hds");
    const hds = await openHds(path, "r+");
    expect((await readHdsInfo(path)).inUse).toBe(true);
    await hds.close();
    expect((await readHdsInfo(path)).inUse).toBe(false);
  });

  it("of the first format, which counts in sectors, is read as well", async () => {
    const path = join(folder, "first.hds");
    const bytes = Buffer.alloc(2 * clusterBytes, 9);
    bytes.fill(0, 0, clusterBytes);
    bytes.write("WithoutFreeSpace", "latin1");
    for (const [value, offset] of [
      [2, 16],
      [2048, 28],
      [1, 32],
      [2048, 36],
      [2048, 64],
    ] as const)
      bytes.writeUInt32LE(value, offset);
    await writeFile(path, bytes);
    const hds = await openHds(path);
    const into = Buffer.alloc(clusterBytes);
    expect([await hds.readCluster(0, into), into[0], hds.info.diskBytes]).toEqual([true, 9, clusterBytes]);
    await hds.close();
  });

  it.each([
    ["another magic", 0, 1, "its header is another"],
    ["another version", 16, 3, "its version is 3"],
    ["clusters without a size", 28, 0, "no size"],
    ["a table shorter than the disk", 32, 4, "does not cover"],
    ["a table longer than the file", 32, 0xffffff, "does not cover"],
    ["an entry behind its end", 64, 9, "behind its end"],
  ])("with %s is refused by name", async (what, offset, value, why) => {
    await expect(readHdsInfo(await patched(`${what}.hds`, offset, value))).rejects.toThrow(why);
  });

  it("cut short in its header is refused", async () => {
    const path = join(folder, "short.hds");
    await writeFile(path, "WithouFreSpacExt");
    await expect(readHdsInfo(path)).rejects.toThrow("is no expanding Parallels disk");
  });
});
