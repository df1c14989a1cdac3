/**
 * Pushes and pulls that are killed at 50 random moments each, with as many packs and reads on their way as usual: what comes out is right bit by bit, and no more
 * than one pack travels again.
 */
import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { packBytes } from "../../images/format.ts";
import { imagePaths } from "../../images/layout.ts";
import { pullTree } from "../../images/pull.ts";
import { pushBundle } from "../../images/push.ts";
import { folderStore } from "../../stores/folder.ts";
import { fromSeed, listTree, makeDisk, random, workFolder } from "../images/samples.ts";
import { orders, placeStore, runVictim, type Order } from "../images/victims.ts";
import { startMiddleman, type Middleman } from "../stores/middleman.ts";
import { startS3Server, type S3Server } from "../stores/s3-server.ts";

const seed = Number(process.env["DROVER_TEST_SEED"] ?? Math.floor(Math.random() * 1e9));
const kills = 50;
const mebibyte = 1024 * 1024;
const signal = new AbortController().signal;

let s3: S3Server;
let way: Middleman;
let bucket = "";
beforeAll(async () => {
  s3 = await startS3Server();
  bucket = await s3.makeBucket();
  way = await startMiddleman(s3.endpoint);
  // So slow that packs are on their way at nearly every moment.
  way.far = { delayMs: 30, requestBytesPerSecond: 20 * mebibyte, lineBytesPerSecond: 60 * mebibyte };
}, 180_000);
afterAll(async () => {
  await way?.stop();
  await s3?.stop();
}, 60_000);

/** Bytes of objects of that kind that a log speaks of. */
function bytesIn(log: string, word: "sent" | "arrived" | "read", kind: string): number {
  const told = readFileSync(log, "utf8").matchAll(new RegExp(`^${word} \\S*/${kind}/\\S+ (\\d+)$`, "gm"));
  return [...told].reduce((sum, [, bytes]) => sum + Number(bytes), 0);
}

/** Notes the bytes that come to the server, object by object. */
function noteArrivals(log: string): (asked: IncomingMessage) => null {
  return (asked) => {
    if (asked.method !== "PUT") return null;
    const key = (asked.url ?? "").split("?")[0]?.split("/").slice(2).join("/") ?? "";
    let bytes = 0;
    asked.on("data", (part: Buffer) => void (bytes += part.byteLength));
    asked.once("close", () => appendFileSync(log, `arrived ${key} ${bytes}\n`));
    return null;
  };
}

const told = (what: string, costs: readonly number[]) =>
  process.stdout.write(
    `${what}, seed ${seed}: ${costs.length} kills cost ${costs.map((bytes) => (bytes / packBytes).toFixed(2)).join(" ")} packs\n`,
  );

describe(`under ${kills} kills (DROVER_TEST_SEED=${seed})`, () => {
  // On their way to the folder, packs count as sent when they begin to be written; to S3, by their bytes that came.
  it.each(["folder", "S3"] as const)("a push to a store of kind %s resumes, and sends no more than one pack again", async (kind) => {
    await using folder = await workFolder();
    const next = random(seed + kind.length);
    const bundle = join(folder.path, "bundle");
    makeDisk(bundle, `kill ${seed}`, 88 * mebibyte);
    const wanted = listTree(bundle);
    const orderIn = async (name: string): Promise<Order> => {
      const path = join(folder.path, name);
      mkdirSync(path);
      const order = { ...orders(path), bundle };
      writeFileSync(order.log, "");
      if (kind === "folder") return order;
      way.lie = noteArrivals(order.log);
      const keys = { accessKeyId: s3.accessKey, secretAccessKey: s3.secretKey };
      return { ...order, s3: { ...keys, endpoint: way.endpoint, bucket, prefix: `${name}/` } };
    };
    const whole = await runVictim(await orderIn("whole"));
    const costs: number[] = [];
    for (let kill = 0; kill < kills; kill++) {
      const order = await orderIn(`${kill}`);
      const { killed } = await runVictim(order, 1 + Math.floor(next() * whole.steps), Math.floor(next() * 100));
      const { result } = await runVictim(order);
      expect(result).toMatchObject({ digest: whole.result["digest"] });
      // What travelled besides the packs that the image needs, each once.
      const travelled = bytesIn(order.log, kind === "S3" ? "arrived" : "sent", "packs");
      if (killed) costs.push(travelled - Number(result["storedBytes"]));
      const image = { digest: String(result["digest"]), generation: 1 };
      const store = order.s3 ? placeStore({ ...order.s3, endpoint: s3.endpoint }) : folderStore(order.store);
      await pullTree({ ...image, store, targetPath: order.target, seeds: [], signal });
      expect(listTree(imagePaths(order.target).bundle), `kill ${kill}`).toEqual(wanted);
      rmSync(join(folder.path, `${kill}`), { recursive: true });
    }
    told(`push to ${kind}`, costs);
    expect(costs.length).toBeGreaterThan(kills / 2);
    expect(Math.max(...costs)).toBeLessThanOrEqual(packBytes);
  });

  it("a pull resumes, and reads no more again than was on its way", async () => {
    await using folder = await workFolder();
    const next = random(seed);
    const base = { ...orders(folder.path), what: "pull" as const };
    makeDisk(base.bundle, `kill ${seed}`, 40 * mebibyte);
    const push = { bundlePath: base.bundle, store: folderStore(base.store), generation: 1, signal };
    const first = await pushBundle({ ...push, bases: [], journalPath: `${base.journal}-1` });
    const seeds = [{ digest: first.digest, path: join(folder.path, "seed") }];
    await pullTree({ ...first, store: push.store, targetPath: join(folder.path, "seed"), seeds: [], signal });
    writeFileSync(join(base.bundle, "second"), fromSeed(`other ${seed}`, 48 * mebibyte));
    const second = await pushBundle({ ...push, bases: [first], journalPath: `${base.journal}-2` });
    const wanted = listTree(base.bundle);
    const pull: Order = { ...base, digest: second.digest, seeds };
    const whole = await runVictim({ ...pull, target: join(folder.path, "whole"), log: join(folder.path, "whole-log") });
    const needed = bytesIn(join(folder.path, "whole-log"), "read", "packs");
    const costs: number[] = [];
    for (let kill = 0; kill < kills; kill++) {
      const order = { ...pull, target: join(folder.path, `target-${kill}`), log: join(folder.path, `log-${kill}`) };
      writeFileSync(order.log, "");
      const { killed } = await runVictim(order, 1 + Math.floor(next() * whole.steps), Math.floor(next() * 30));
      await runVictim(order);
      if (killed) costs.push(bytesIn(order.log, "read", "packs") - needed);
      expect(listTree(imagePaths(order.target).bundle), `kill ${kill}`).toEqual(wanted);
      rmSync(order.target, { recursive: true });
    }
    told("pull", costs);
    // Eight reads of 4 MiB.
    expect(Math.max(...costs)).toBeLessThanOrEqual(2 * packBytes);
  });
});
