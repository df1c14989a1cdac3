/** Guarantees of pins: in use is in use until the last user ends, however it ends. */
import { describe, expect, it } from "vitest";
import { openPins } from "./pins.ts";

describe("pins", () => {
  it("pins an image until the last of its users has ended, also by a failure", async () => {
    const pins = openPins();
    const gate = Promise.withResolvers<void>();
    const first = pins.holding(["a"], () => gate.promise);
    await expect(pins.holding(["a", "b"], () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect([pins.isPinned("a"), pins.isPinned("b")]).toEqual([true, false]);
    gate.resolve();
    await first;
    expect(pins.isPinned("a")).toBe(false);
  });

  it("keeps an image that an operation was told of, for a while", () => {
    let now = 0;
    const pins = openPins(() => now);
    pins.keep("a");
    now = 599_999;
    expect(pins.isPinned("a")).toBe(true);
    now = 600_001;
    expect(pins.isPinned("a")).toBe(false);
  });
});
