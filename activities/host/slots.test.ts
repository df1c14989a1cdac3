/** Guarantees of the slots: never more than the count, in order, and a waiter that leaves blocks nobody. */
import { describe, expect, it } from "vitest";
import { openKeyedSlots, openSlots } from "./slots.ts";

const never = new AbortController().signal;

describe("slots", () => {
  it("never lets more work run at once than there are slots", async () => {
    const slots = openSlots(2);
    let running = 0;
    let most = 0;
    const work = async () => {
      most = Math.max(most, ++running);
      await new Promise(setImmediate);
      running -= 1;
    };
    await Promise.all(Array.from({ length: 20 }, () => slots.run(never, work)));
    expect({ running, most }).toEqual({ running: 0, most: 2 });
  });

  it("gives the turn of a waiter that left to the next one", async () => {
    const slots = openSlots(1);
    const gate = Promise.withResolvers<void>();
    const leaving = new AbortController();
    const first = slots.run(never, () => gate.promise);
    const second = slots.run(leaving.signal, async () => "second");
    const third = slots.run(never, async () => "third");
    leaving.abort(new Error("left"));
    await expect(second).rejects.toThrow("left");
    gate.resolve();
    await first;
    expect(await third).toBe("third");
  });

  it("frees the slot of work that failed", async () => {
    const slots = openSlots(1);
    await expect(slots.run(never, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await slots.run(never, async () => "yes")).toBe("yes");
  });
});

describe("keyed slots", () => {
  it("runs one at a time per key and different keys side by side", async () => {
    const keyed = openKeyedSlots();
    const log: string[] = [];
    const gate = Promise.withResolvers<void>();
    const a1 = keyed.run("a", never, async () => {
      await gate.promise;
      log.push("a1");
    });
    const a2 = keyed.run("a", never, async () => void log.push("a2"));
    await keyed.run("b", never, async () => void log.push("b"));
    gate.resolve();
    await Promise.all([a1, a2]);
    expect(log).toEqual(["b", "a1", "a2"]);
  });
});
