/** Guarantees of pins: in use is in use until the last user ends, however it ends. */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openUses } from "../../images/cache-uses.ts";
import { openPins } from "./pins.ts";

const [first, second] = [randomUUID(), randomUUID()];
const image = "a".repeat(64);
const pinsAt = async (root: string) => openPins(await openUses(root));
let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "drover-pins-"))));
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("pins", () => {
  it("pins an image until the last of its users has ended, also by a failure", async () => {
    const pins = await pinsAt(folder);
    const gate = Promise.withResolvers<void>();
    const holder = pins.holding(["a"], () => gate.promise);
    await expect(pins.holding(["a", "b"], () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect([pins.isUsed("a"), pins.isUsed("b")]).toEqual([true, false]);
    gate.resolve();
    await holder;
    expect(pins.isUsed("a")).toBe(false);
  });

  it("keeps an image for an operation until that has ended, also over a restart of the process", async () => {
    const before = await pinsAt(folder);
    await before.keep(image, first);
    await before.keep(image, second);
    const after = await pinsAt(folder);
    expect(after.isUsed(image)).toBe(true);
    expect(after.keptFor().toSorted()).toEqual([first, second].toSorted());
    await after.release(first);
    expect(after.isUsed(image)).toBe(true);
    await after.release(second);
    expect(after.isUsed(image)).toBe(false);
    expect((await pinsAt(folder)).isUsed(image)).toBe(false);
  });

  it("lets whoever comes during a removal wait, and removes nothing that is used", async () => {
    const pins = await pinsAt(folder);
    const gate = Promise.withResolvers<void>();
    const removed: string[] = [];
    const removal = pins.unlessUsed("a", async () => {
      await gate.promise;
      removed.push("a");
    });
    const later = pins.holding(["a"], () => Promise.resolve([...removed]));
    gate.resolve();
    expect(await removal).toBe(true);
    expect(await later).toEqual(["a"]);
    await pins.keep("a", first);
    expect(await pins.unlessUsed("a", () => Promise.reject(new Error("must not run")))).toBe(false);
  });
});
