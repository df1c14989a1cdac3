/** Guarantees of pools on a whole stack: what waits is ready, a lease is one caller's, and what ended leaves nothing. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openPools } from "../pools/world.ts";

let world: Awaited<ReturnType<typeof openPools>>;
beforeAll(async () => {
  world = await openPools();
}, 180_000);
afterAll(() => world?.close(), 60_000);

const ready = (count: number) => (detail: { idle: number; making: number }) => detail.idle === count && detail.making === 0;

describe("a pool", () => {
  it("fills, gives its machines away at once, makes others, and retires what is given back", async () => {
    await world.create("first", { minimumIdle: 2, maximum: 4 });
    const full = await world.until("first", "it is full", ready(2));
    expect(full.shortfalls).toEqual([]);
    const lease = await world.lease("first", { ttlSeconds: 600 });
    expect(lease).toMatchObject({
      pool: "first",
      leasedBy: "root",
      operation: null,
      machine: { observed: "running", labels: { pool: "first" } },
    });
    expect(lease.machine.addresses.length).toBeGreaterThan(0);
    await world.until("first", "it fills again", (detail) => ready(2)(detail) && detail.leased === 1);
    const { id } = await world.release("first", lease.id);
    await world.stack.drover("operation", "watch", id);
    await world.until("first", "the lease is gone", (detail) => detail.leased === 0 && detail.ending === 0);
    await expect(world.machine(lease.machine.id)).rejects.toThrow(/no machine/);
  }, 300_000);
});
