/** Guarantees of gates: limits hold for all transfers together, change while they are in use, and cost nobody a place that is free. */
import { describe, expect, it } from "vitest";
import { memoryStore } from "../stores/memory.ts";
import { readAll } from "../stores/object-store.ts";
import { gatedStore, openStoreGate } from "./store-gate.ts";

const calm = () => new AbortController().signal;

describe("a store's gate", () => {
  it("lets so many in at once, others in their order, and more as soon as the limit is lifted", async () => {
    const gate = openStoreGate({ bytesPerSecond: null, requests: 2 });
    const inside: number[] = [];
    const leaving = [0, 1, 2, 3, 4].map(async (n) => {
      const leave = await gate.enter(calm());
      inside.push(n);
      return leave;
    });
    const [first] = await Promise.all(leaving.slice(0, 2));
    expect(inside).toEqual([0, 1]);
    first?.();
    first?.(); // Gives one place back, not two.
    await leaving[2];
    expect(inside).toEqual([0, 1, 2]);
    gate.set({ bytesPerSecond: null, requests: null });
    await Promise.all(leaving);
    expect(inside).toEqual([0, 1, 2, 3, 4]);
  });

  it("gives the turn of a waiter that left to the next", async () => {
    const gate = openStoreGate({ bytesPerSecond: null, requests: 1 });
    const leave = await gate.enter(calm());
    const gone = new AbortController();
    const left = gate.enter(gone.signal);
    const next = gate.enter(calm());
    gone.abort(new Error("gone"));
    await expect(left).rejects.toThrow("gone");
    leave();
    (await next)();
    (await gate.enter(calm()))();
  });

  it("holds the rate of all reads together, whole and in part", async () => {
    const body = Buffer.alloc(100_000, 1);
    const store = gatedStore(memoryStore(new Map([["a", body]])), openStoreGate({ bytesPerSecond: 1_000_000, requests: null }));
    const began = performance.now();
    const ranges = [0, 1, 2, 3].map(async () => readAll(await store.read("a", { offsetBytes: 0, lengthBytes: 50_000 }, calm()), "a", 1e6));
    await Promise.all([...ranges, store.read("a", null, calm()).then((stream) => readAll(stream, "a", 1e6))]);
    // The first travels at once; what it took is waited for by the next.
    expect(performance.now() - began).toBeGreaterThanOrEqual(195);
  });

  it("keeps a read's place until its stream has ended, in whatever way", async () => {
    const objects = new Map([["a", Buffer.alloc(10)]]);
    const store = gatedStore(memoryStore(objects), openStoreGate({ bytesPerSecond: null, requests: 1 }));
    await readAll(await store.read("a", null, calm()), "a", 10);
    await (await store.read("a", null, calm())).cancel();
    await expect(store.read("none", null, calm())).rejects.toThrow();
    const held = await store.read("a", null, calm());
    const waits = store.read("a", null, AbortSignal.timeout(20));
    await expect(waits).rejects.toThrow(/timeout/i);
    await held.cancel();
    expect((await readAll(await store.read("a", null, calm()), "a", 10)).byteLength).toBe(10);
  });
});
