/** Hosts that fetch one image at once share what they fetch; a neighbour that lies, hangs or dies costs nothing but the store. */
import { describe, expect, it, vi } from "vitest";
import type { Neighbour } from "../../images/near.ts";
import { listTree, workFolder } from "./samples.ts";
import { openSwarm } from "./swarm-lab.ts";

vi.setConfig({ testTimeout: 120_000 });

const mebibyte = 1024 ** 2;
const soon = { timeout: 60_000, interval: 20 };
const whole = (id: string, read: Neighbour["read"]): Neighbour => ({ id, rows: async () => "all", read });

describe("swarm", () => {
  it("costs the store about one download for eight hosts that begin together", async () => {
    await using folder = await workFolder();
    const swarm = await openSwarm(folder.path, { bytes: 48 * mebibyte, bytesPerSecond: 8 * mebibyte });
    const pulled = await Promise.all([..."abcdefgh"].map((name) => swarm.pull(name)));
    for (const { bundle } of pulled) expect(listTree(bundle)).toEqual(listTree(swarm.bundlePath));
    expect(swarm.sent() / swarm.storedBytes).toBeLessThan(1.2);
  });

  it("takes nothing but tree and locations from the store when a neighbour has it all", async () => {
    await using folder = await workFolder();
    const swarm = await openSwarm(folder.path, { bytes: 8 * mebibyte });
    await swarm.pull("first");
    const second = await swarm.pull("second");
    expect(listTree(second.bundle)).toEqual(listTree(swarm.bundlePath));
    expect(second.fetchedBytes).toBe(0);
  });

  it("costs a host that comes late no more of the store than its part of the rest", async () => {
    await using folder = await workFolder();
    const swarm = await openSwarm(folder.path, { bytes: 24 * mebibyte, bytesPerSecond: 6 * mebibyte });
    const early = [swarm.pull("a"), swarm.pull("b")];
    await vi.waitUntil(() => swarm.sent() > swarm.storedBytes / 2, soon);
    const late = await swarm.pull("late");
    await Promise.all(early);
    expect(listTree(late.bundle)).toEqual(listTree(swarm.bundlePath));
    expect(late.fetchedBytes).toBeLessThan(swarm.storedBytes / 2);
    expect(swarm.sent() / swarm.storedBytes).toBeLessThan(1.3);
  });

  it("ends, bit by bit, when all others are gone in the middle, and takes from the store only what they did not give", async () => {
    await using folder = await workFolder();
    const swarm = await openSwarm(folder.path, { bytes: 24 * mebibyte, bytesPerSecond: 6 * mebibyte });
    const last = swarm.pull("last");
    const others = ["b", "c"].map((name) => swarm.pull(name));
    await vi.waitUntil(() => swarm.sent() > swarm.storedBytes / 2, soon);
    swarm.kill("b");
    swarm.kill("c");
    await Promise.allSettled(others);
    expect(listTree((await last).bundle)).toEqual(listTree(swarm.bundlePath));
    expect((await last).fetchedBytes).toBeLessThan(swarm.storedBytes);
  });

  it("does not wait for a neighbour that is far slower than the store", async () => {
    await using folder = await workFolder();
    const swarm = await openSwarm(folder.path, { bytes: 32 * mebibyte });
    await swarm.pull("slow");
    swarm.slow("slow", 3_000);
    const began = performance.now();
    expect(listTree((await swarm.pull("second")).bundle)).toEqual(listTree(swarm.bundlePath));
    // Two parts at a time, of sixteen.
    expect(performance.now() - began).toBeLessThan((16 / 2) * 3_000);
  });

  it.each([
    ["sends wrong bytes", async (rows) => ({ lengths: rows.map(() => 1000), body: new Uint8Array(rows.length * 1000).fill(7) })],
    ["sends less than it says", async (rows) => ({ lengths: rows.map(() => 1000), body: new Uint8Array(3) })],
    ["breaks off", async () => Promise.reject(new Error("connection reset"))],
    ["hangs", (_, signal) => new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)))],
  ] satisfies [string, Neighbour["read"]][])("pulls the whole image, bit by bit, beside a neighbour that %s", async (_, read) => {
    await using folder = await workFolder();
    const swarm = await openSwarm(folder.path, { bytes: 6 * mebibyte });
    expect(listTree((await swarm.pull("own", [whole("bad", read)])).bundle)).toEqual(listTree(swarm.bundlePath));
  });
});
