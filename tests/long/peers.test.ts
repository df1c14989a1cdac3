/**
 * Eight hosts that begin together, under mutual TLS and by the hub's word, with a store limited to a fixed rate: what it costs the store, and how long it takes.
 */
import { expect, it } from "vitest";
import { listTree } from "../images/samples.ts";
import { counted } from "../images/swarm-lab.ts";
import { openFleet } from "../gateway/macs.ts";

const mebibyte = 1024 ** 2;
const hosts = 8;
const bytes = 96 * mebibyte;
const bytesPerSecond = 4 * mebibyte;

it("costs the store about one download, and takes about as long as one host alone", async () => {
  const fleet = await openFleet(
    Array.from({ length: hosts }, (_, n) => `mac-${n + 1}`),
    bytes,
  );
  try {
    const line = counted(bytesPerSecond);
    const begun = performance.now();
    await Promise.all(fleet.macs.map((mac) => fleet.pull(mac, line.through)));
    const seconds = (performance.now() - begun) / 1000;
    const images = line.sent() / bytes;
    process.stdout.write(
      `${hosts} hosts, ${bytes / mebibyte} MiB, store ${bytesPerSecond / mebibyte} MiB/s: ${images.toFixed(2)} images left the store\n`,
    );
    process.stdout.write(
      `in ${seconds.toFixed(1)} s; one host alone takes ${(bytes / bytesPerSecond).toFixed(1)} s, eight that share nothing ${((hosts * bytes) / bytesPerSecond).toFixed(1)} s\n`,
    );
    for (const { cache } of fleet.macs) expect(listTree(cache.paths(fleet.digest).bundle)).toEqual(listTree(fleet.bundlePath));
    expect(images).toBeLessThan(1.5);
    expect(seconds).toBeLessThan((4 * bytes) / bytesPerSecond);
  } finally {
    await fleet.close();
  }
}, 600_000);
