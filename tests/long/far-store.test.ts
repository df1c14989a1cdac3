/**
 * How busy a push keeps the line to a store that is far away: the first answer comes 30 ms after a pack's last byte, one connection brings 90 MB/s at most.
 *
 * The one idea: what may be on its way at once is bounded, so that a kill costs little; this shows that the bound is wide enough.
 */
import { join } from "node:path";
import { expect, it } from "vitest";
import { makeDisk, workFolder } from "../images/samples.ts";
import { orders, runVictim } from "../images/victims.ts";
import { startMiddleman } from "../stores/middleman.ts";

const mebibyte = 1024 * 1024;
const diskBytes = 384 * mebibyte;

// On a computer that does nothing else; the first is a usual line.
it.each([
  { line: "1 Gbit/s", lineBytesPerSecond: 125e6, least: 0.7, requests: {} },
  { line: "as much as four connections bring", lineBytesPerSecond: 360e6, least: 0.3, requests: {} },
  { line: "as much as four connections bring, by eight", lineBytesPerSecond: 360e6, least: 0.4, requests: { parallel: 8 } },
])("is kept busy by a push: $line", async ({ line, lineBytesPerSecond, least, requests }) => {
  await using folder = await workFolder();
  makeDisk(join(folder.path, "bundle"), "far store", diskBytes);
  // It answers itself: no server behind it is a limit.
  const way = await startMiddleman("http://127.0.0.1:9");
  way.lie = ({ method }) => ({ status: method === "PUT" ? 200 : 404 });
  way.far = { delayMs: 30, requestBytesPerSecond: 90e6, lineBytesPerSecond };
  try {
    const s3 = { endpoint: way.endpoint, bucket: "far", prefix: "", accessKeyId: "key", secretAccessKey: "secret" };
    const { result } = await runVictim({ ...orders(folder.path), s3, ...requests });
    const seconds = Number(result["tookMs"]) / 1000;
    const rate = Number(result["storedBytes"]) / seconds;
    process.stdout.write(`${line}: ${Number(result["packs"])} packs in ${seconds.toFixed(2)} s, ${(rate / 1e6).toFixed(0)} MB/s\n`);
    expect(rate / lineBytesPerSecond).toBeGreaterThan(least);
  } finally {
    await way.stop();
  }
});
