/** Hosts that fetch one image at once share what they fetch; a neighbour that lies, hangs or dies costs nothing but the store. */
import { describe, expect, it, vi } from "vitest";
import type { Neighbour } from "../../images/near.ts";
import { listTree, workFolder } from "./samples.ts";
import { openSwarm } from "./swarm-lab.ts";

vi.setConfig({ testTimeout: 120_000 });

const mebibyte = 1024 ** 2;
const whole = (id: string, read: Neighbour["read"]): Neighbour => ({ id, rows: async () => "all", read });

describe("swarm", () => {
  it("costs the store about one download for three hosts that begin together", async () => {
    await using folder = await workFolder();
    const swarm = await openSwarm(folder.path, { bytes: 24 * mebibyte, bytesPerSecond: 12 * mebibyte });
    const bundles = await Promise.all(["a", "b", "c"].map((name) => swarm.pull(name)));
    for (const bundle of bundles) expect(listTree(bundle)).toEqual(listTree(swarm.bundlePath));
    expect(swarm.sent() / swarm.storedBytes).toBeLessThan(1.5);
  });

  it("takes nothing but tree and locations from the store when a neighbour has it all", async () => {
    await using folder = await workFolder();
    const swarm = await openSwarm(folder.path, { bytes: 8 * mebibyte });
    await swarm.pull("first");
    const before = swarm.sent();
    expect(listTree(await swarm.pull("second"))).toEqual(listTree(swarm.bundlePath));
    expect(swarm.sent() - before).toBeLessThan(mebibyte / 4);
  });

  it.each([
    ["sends wrong bytes", async (rows) => ({ lengths: rows.map(() => 1000), body: new Uint8Array(rows.length * 1000).fill(7) })],
    ["sends less than it says", async (rows) => ({ lengths: rows.map(() => 1000), body: new Uint8Array(3) })],
    ["breaks off", async () => Promise.reject(new Error("connection reset"))],
    ["hangs", (_, signal) => new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)))],
  ] satisfies [string, Neighbour["read"]][])("pulls the whole image, bit by bit, beside a neighbour that %s", async (_, read) => {
    await using folder = await workFolder();
    const swarm = await openSwarm(folder.path, { bytes: 6 * mebibyte });
    expect(listTree(await swarm.pull("own", [whole("bad", read)]))).toEqual(listTree(swarm.bundlePath));
  });
});
