/** An image of 100 GB, simulated, since no such disk fits here: what describes it is small, and nobody needs an object per chunk to work with it. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { beforeAll, expect, it } from "vitest";
import { largeFiles, largePackBytes, publishLarge, storedChunkBytes } from "../../bench/large-image.ts";
import { locationsKey, treeKey } from "../../images/format.ts";
import { placeAt } from "../../images/locations.ts";
import { rowFinder } from "../../images/near.ts";
import type { Published } from "../../images/publish.ts";
import { compareRows } from "../../images/rows.ts";
import { readImage, type StoredImage } from "../../images/stored.ts";
import { rowBytes, rowHash, treeFiles } from "../../images/tree.ts";
import { spansOf } from "../../images/wanted.ts";
import { memoryStore } from "../../stores/memory.ts";

const signal = new AbortController().signal;
const objects = new Map<string, Uint8Array>();
const store = memoryStore(objects);
let published: Published;
let image: StoredImage;

setFlagsFromString("--expose-gc");
const collect: unknown = runInNewContext("gc");

/** Bytes of objects that are in use, without the memory of buffers. */
function objectBytes(): number {
  if (typeof collect !== "function") throw new Error("The collector is not to be had.");
  collect();
  return process.memoryUsage().heapUsed;
}

beforeAll(async () => {
  published = await publishLarge(store, largeFiles, signal);
  image = await readImage(store, published, signal);
}, 60_000);

it("has a tree and locations of less than a thousandth of its stored size", () => {
  const described =
    (objects.get(treeKey(published.digest))?.byteLength ?? 0) + (objects.get(locationsKey(published.digest, 1))?.byteLength ?? 0);
  const stored = published.packs.reduce((sum, pack) => sum + pack.bytes, 0);
  expect(published.newChunks).toBe(published.chunks);
  expect(published.chunks).toBeGreaterThan(381_000);
  expect(described / stored).toBeLessThan(0.001);
});

it("is opened without an object per chunk", async () => {
  const before = objectBytes();
  const opened = await readImage(store, published, signal);
  const taken = objectBytes() - before;
  expect(opened.locations.packs.length).toBeGreaterThan(1000);
  // An object per chunk would take at least 30 MB; a pack has one.
  expect(taken).toBeLessThan(4e6);
});

it("tells of any row what it is and where it lies, and what differs from the version before", () => {
  const { find, rows } = rowFinder(image.tree);
  const [disk] = treeFiles(image.tree);
  if (!disk) throw new Error("The tree has no file.");
  const inFirst = disk.rows.byteLength / rowBytes;
  for (let row = 0; row < rows; row += 997) {
    const found = find(row);
    expect(found?.index).toBe(row < inFirst ? row : row - inFirst);
    expect(placeAt(image.locations.places, row).length).toBe(storedChunkBytes);
  }
  const before = Buffer.from(disk.rows);
  for (let row = 0; row < inFirst; row += 33) rowHash(before, row).fill(7);
  expect(compareRows(before, disk.rows).missing).toHaveLength(Math.ceil(inFirst / 33));
});

it("is planned for a pull in reads of neighbours, without an object per chunk", () => {
  const { rows } = rowFinder(image.tree);
  const all = Array.from({ length: rows }, (_, row) => row);
  const before = objectBytes();
  const spans = spansOf(image, "/bundle", all);
  const taken = objectBytes() - before;
  const reads = image.locations.packs.length * Math.ceil(largePackBytes / (4 * 1024 * 1024));
  expect(spans.length).toBeLessThanOrEqual(reads * 1.1);
  // 8,000 reads, each with what it takes to look its chunks up.
  expect(taken).toBeLessThan(8e6);
  expect(spans.reduce((sum, span) => sum + span.chunks.length, 0)).toBe(rows);
});
