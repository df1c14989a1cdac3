/** The table of known chunks keeps every entry while it grows, and says of nothing else that it is known. */
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { chunkIndex, isKnown } from "./chunk-index.ts";

const hashOf = (n: number) => createHash("sha256").update(String(n)).digest();

it("finds each chunk where it was first put, however far it grew", () => {
  const index = chunkIndex(0);
  for (let n = 0; n < 20_000; n++) expect(index.add(hashOf(n), { pack: n, offset: n * 2, length: n + 1 })).toBe(true);
  expect(index.add(hashOf(7), { pack: 0, offset: 0, length: 1 })).toBe(false);
  for (let n = 0; n < 20_000; n += 7) expect(index.find(hashOf(n))).toEqual({ pack: n, offset: n * 2, length: n + 1 });
  for (let n = 20_000; n < 25_000; n++) expect(index.find(hashOf(n))).toBeNull();
});

it("tells hashes apart that fall on one slot", () => {
  const index = chunkIndex(0);
  const alike = (last: number) => Buffer.concat([Buffer.alloc(31, 9), Buffer.from([last])]);
  for (let last = 0; last < 200; last++) index.add(alike(last), { pack: last, offset: 0, length: 1 });
  for (let last = 0; last < 200; last++) expect(index.find(alike(last))?.pack).toBe(last);
  expect(index.find(alike(200))).toBeNull();
});

it("shows its hashes to whoever shares its memory", () => {
  const index = chunkIndex(100);
  const shared = index.shared();
  expect(isKnown(shared, hashOf(1))).toBe(false);
  index.add(hashOf(1), { pack: 0, offset: 0, length: 1 });
  expect(isKnown(shared, hashOf(1))).toBe(true);
});

it("takes no other chunk for the one that it seeks, also when that one comes to stand where the search has just ended", () => {
  const index = chunkIndex(100);
  const [sought, other] = [31, 32].map((last) => Buffer.concat([Buffer.alloc(31, 9), Buffer.from([last])]));
  if (!sought || !other) throw new Error("There are two.");
  let reads = 0;
  // The main thread writes between two looks of a worker: an empty slot is eight words of zero.
  const keys = new Proxy(index.shared().keys, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (name !== "length" && ++reads === 8) index.add(other, { pack: 0, offset: 0, length: 1 });
      return value;
    },
  });
  expect(isKnown({ keys }, sought)).toBe(false);
  expect(isKnown({ keys }, other)).toBe(true);
});
