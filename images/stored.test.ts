/** A listing tells of thousands of packs whether all are there, and asks for each folder once. */
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { memoryStore } from "../stores/memory.ts";
import type { ObjectStore } from "../stores/object-store.ts";
import { packKey } from "./format.ts";
import { checkPacks } from "./stored.ts";

const hashOf = (n: number) => createHash("sha256").update(String(n)).digest("hex");

function world(count: number) {
  const objects = new Map<string, Uint8Array>();
  const packs = Array.from({ length: count }, (_, n) => ({ sha256: hashOf(n), bytes: 1 + (n % 7) }));
  for (const { sha256, bytes } of packs) objects.set(packKey(sha256), new Uint8Array(bytes));
  // Packs of other images lie in the same folders.
  for (let n = count; n < count * 2; n++) objects.set(packKey(hashOf(n)), new Uint8Array(99));
  const locations = { digest: hashOf(-1), generation: 1, packs, places: Buffer.alloc(0) };
  const listed: string[] = [];
  const store = memoryStore(objects);
  const list: ObjectStore["list"] = (prefix) => (listed.push(prefix), store.list(prefix));
  return { objects, packs, locations, listed, check: () => checkPacks({ list }, locations) };
}

it("finds thousands of packs in one listing per folder, and never lists more than folders of packs", async () => {
  const { check, listed } = world(3000);
  await check();
  expect(listed).toHaveLength(256);
  expect(new Set(listed).size).toBe(256);
});

it("names the one pack among thousands that is missing or has another size", async () => {
  const { check, objects, packs } = world(1000);
  const { sha256 = "" } = packs[777] ?? {};
  objects.set(packKey(sha256), new Uint8Array(12));
  await expect(check()).rejects.toMatchObject({ fault: { code: "content_corrupt", message: expect.stringContaining(sha256) } });
  objects.delete(packKey(sha256));
  await expect(check()).rejects.toMatchObject({ fault: { code: "store_object_missing", subject: sha256 } });
});

it("lists nothing for an image without packs", async () => {
  const { check, listed } = world(0);
  await check();
  expect(listed).toEqual([]);
});
