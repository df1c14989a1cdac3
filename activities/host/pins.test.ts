/** Guarantees of pins: in use is in use until the last user ends, however it ends. */
import { describe, expect, it } from "vitest";
import { openPins } from "./pins.ts";

describe("pins", () => {
  it("pins an image until the last of its users has ended, also by a failure", async () => {
    const pins = openPins();
    const gate = Promise.withResolvers<void>();
    const first = pins.holding(["a"], () => gate.promise);
    await expect(pins.holding(["a", "b"], () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect([pins.isUsed("a"), pins.isUsed("b")]).toEqual([true, false]);
    gate.resolve();
    await first;
    expect(pins.isUsed("a")).toBe(false);
  });

  it("keeps an image that an operation was told of, for a while", async () => {
    let now = 0;
    const pins = openPins(() => now);
    await pins.keep("a");
    now = 599_999;
    expect(pins.isUsed("a")).toBe(true);
    now = 600_001;
    expect(pins.isUsed("a")).toBe(false);
  });

  it("lets whoever comes during a removal wait, and removes nothing that is used", async () => {
    const pins = openPins();
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
    await pins.keep("a");
    expect(await pins.unlessUsed("a", () => Promise.reject(new Error("must not run")))).toBe(false);
  });
});
