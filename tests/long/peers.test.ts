/**
 * Hosts that begin together, under mutual TLS and by the hub's word, with a store limited to a fixed rate: what it costs the store, how long it takes, and what becomes
 * of it when one of them is killed.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { writeIdentity } from "../../activities/host/hub-link.ts";
import { freePort } from "../../deploy/ports.ts";
import { openFleet } from "../gateway/macs.ts";
import type { MacOrder } from "../gateway/mac-victim.ts";
import { listTree } from "../images/samples.ts";
import { counted } from "../images/swarm-lab.ts";
import { watch } from "../images/victims.ts";

const mebibyte = 1024 ** 2;
const hosts = 8;
// All hosts are one process here: as much as two busy cores can send and check eight times in the time that the store takes.
const bytes = 32 * mebibyte;
const bytesPerSecond = mebibyte;
const names = (count: number) => Array.from({ length: count }, (_, n) => `mac-${n + 1}`);

it("costs the store about one download for eight hosts, and takes about as long as for one alone", { timeout: 600_000 }, async () => {
  const fleet = await openFleet([...names(hosts), "alone"], bytes);
  try {
    const [alone, ...macs] = fleet.macs.toReversed();
    if (!alone) throw new Error("There are nine hosts.");
    const whole = () => listTree(fleet.bundlePath);
    const one = counted(bytesPerSecond);
    const aloneSeconds = await seconds(() => fleet.pull(alone, { through: one.through, alone: true }));
    await alone.cache.remove(fleet.digest);
    await fleet.tell(alone, alone.port, []);
    const line = counted(bytesPerSecond);
    const each = await Promise.all(macs.map((mac) => seconds(() => fleet.pull(mac, { through: line.through }))));
    const slowest = Math.max(...each);
    for (const { cache } of macs) expect(listTree(cache.paths(fleet.digest).bundle)).toEqual(whole());
    const images = line.sent() / bytes;
    process.stdout.write(
      `${hosts} hosts, ${bytes / mebibyte} MiB, store ${bytesPerSecond / mebibyte} MiB/s: ${(line.sent() / mebibyte).toFixed(1)} MiB left the store (${images.toFixed(2)} images); ` +
        `the slowest host took ${slowest.toFixed(1)} s, one host alone ${aloneSeconds.toFixed(1)} s\n`,
    );
    expect(images).toBeLessThan(1.3);
    expect(slowest).toBeLessThan(2 * aloneSeconds);
  } finally {
    await fleet.close();
  }
});

it("goes on from the others and the store when one that shares is killed in the middle", { timeout: 300_000 }, async () => {
  const fleet = await openFleet(names(2), bytes);
  const folder = await mkdtemp(join(tmpdir(), "drover-victim-"));
  try {
    const line = counted(bytesPerSecond);
    const identity = await fleet.hub.enrol("victim");
    const port = await freePort();
    await writeIdentity(join(folder, "identity"), identity);
    await fleet.tell({ identity }, port, []);
    const operationId = await fleet.operation({ identity }, fleet.digest);
    const order: MacOrder = { identity: join(folder, "identity"), folder, port, digest: fleet.digest, operationId, bytesPerSecond };
    // Two letters say that it began, and two each part that came; others are on their way by then.
    const victim = watch(new URL("../gateway/mac-victim.ts", import.meta.url), order, { afterSteps: 10 });
    const pulled = await Promise.all(fleet.macs.map((mac) => fleet.pull(mac, { through: line.through })));
    expect((await victim).killed).toBe(true);
    for (const { cache } of fleet.macs) expect(listTree(cache.paths(fleet.digest).bundle)).toEqual(listTree(fleet.bundlePath));
    expect(line.sent() / bytes).toBeLessThan(1.2);
    expect(Math.max(...pulled.map(({ fetchedBytes }) => fetchedBytes))).toBeLessThan(bytes);
  } finally {
    await fleet.close();
    await rm(folder, { recursive: true, force: true });
  }
});

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return (performance.now() - begun) / 1000;
}
