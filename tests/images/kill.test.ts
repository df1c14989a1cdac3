/** A push and a pull that are killed at random moments end right when they run again, and memory stays bounded. */
import { randomFillSync } from "node:crypto";
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { imagePaths } from "../../images/layout.ts";
import { pullTree } from "../../images/pull.ts";
import { pushBundle } from "../../images/push.ts";
import { readImage } from "../../images/stored.ts";
import { folderStore } from "../../stores/folder.ts";
import { listTree, makeDisk, random, workFolder } from "./samples.ts";
import { orders, runVictim, type Order } from "./victims.ts";

const mebibyte = 1024 * 1024;
const calm = () => new AbortController().signal;
const seed = Number(process.env["DROVER_TEST_SEED"] ?? Math.floor(Math.random() * 1e9));

describe(`after kill -9 (DROVER_TEST_SEED=${seed})`, () => {
  it("a push resumes, ends right, and sends no finished pack twice", { timeout: 90_000 }, async () => {
    await using folder = await workFolder();
    const next = random(seed);
    makeDisk(join(folder.path, "bundle"), `kill ${seed}`, 72 * 1024 * 1024);
    const order = orders(folder.path);
    const whole = await runVictim({
      ...order,
      store: join(folder.path, "whole"),
      journal: join(folder.path, "whole-journal"),
      log: join(folder.path, "whole-log"),
    });
    for (let kill = 0; kill < 6; kill++) await runVictim(order, 1 + Math.floor(next() * whole.steps * 0.8));
    const { result } = await runVictim(order);
    expect(result).toMatchObject({ digest: whole.result["digest"] });
    const log = readFileSync(order.log, "utf8").trim().split("\n");
    const written = log.filter((line) => /^written \S*\/packs\//.test(line)).map((line) => line.slice(8));
    for (const key of written)
      expect(
        log.findLastIndex((line) => line.startsWith(`sent ${key} `)),
        key,
      ).toBeLessThan(log.indexOf(`written ${key}`));
    const store = folderStore(order.store);
    const image = { digest: String(result["digest"]), generation: 1 };
    const { locations } = await readImage(store, image, calm());
    const needed = new Set(locations.packs.map(({ sha256 }) => sha256));
    expect(written.filter((key) => !needed.has(key.slice(-64)))).toEqual([]);
    await pullTree({ ...image, store, targetPath: order.target, seeds: [], signal: calm() });
    expect(listTree(imagePaths(order.target).bundle)).toEqual(listTree(order.bundle));
    // The answer of the attempt that ended right may be lost, too.
    const sentPacks = () => readFileSync(order.log, "utf8").match(/^sent \S*\/packs\//gm)?.length;
    const sent = sentPacks();
    expect((await runVictim(order)).result).toMatchObject({ digest: whole.result["digest"] });
    expect(sentPacks()).toBe(sent);
  });

  it("a pull resumes and ends right, with nothing besides in its folder", { timeout: 90_000 }, async () => {
    await using folder = await workFolder();
    const next = random(seed + 1);
    const order = { ...orders(folder.path), what: "pull" as const };
    makeDisk(order.bundle, `kill ${seed}`, 48 * 1024 * 1024);
    const store = folderStore(order.store);
    const push = { bundlePath: order.bundle, store, generation: 1, signal: calm() };
    const first = await pushBundle({ ...push, bases: [], journalPath: `${order.journal}-1` });
    await pullTree({ ...first, store, targetPath: join(folder.path, "seed"), seeds: [], signal: calm() });
    rmSync(join(order.bundle, "disk.hdd", "disk.hds"));
    // The seed has the first disk almost whole; the second disk is new and must be fetched.
    makeDisk(order.bundle, `kill ${seed}`, 40 * 1024 * 1024 + 5);
    makeDisk(join(order.bundle, "second"), `other ${seed}`, 40 * 1024 * 1024);
    const second = await pushBundle({ ...push, bases: [first], journalPath: `${order.journal}-2` });
    const pull: Order = { ...order, digest: second.digest, seeds: [{ digest: first.digest, path: join(folder.path, "seed") }] };
    const whole = await runVictim({ ...pull, target: join(folder.path, "whole") });
    for (let kill = 0; kill < 6; kill++) {
      const { killed } = await runVictim(pull, 1 + Math.floor(next() * whole.steps));
      if (killed && !existsSync(imagePaths(pull.target).seal)) continue;
      rmSync(pull.target, { recursive: true });
    }
    await runVictim(pull);
    expect(listTree(imagePaths(pull.target).bundle)).toEqual(listTree(order.bundle));
    expect(readdirSync(pull.target).sort()).toEqual(["bundle", "seal.json", "tree"]);
  });
});

describe("memory", () => {
  it("of a push and a pull is bounded whatever the size, and little for a little image", { timeout: 60_000 }, async () => {
    await using folder = await workFolder();
    const peaks = async (name: string, mebibytes: number) => {
      const order = { ...orders(folder.path), bundle: join(folder.path, name), journal: join(folder.path, `${name}-journal`) };
      noise(order.bundle, mebibytes * mebibyte);
      const { result: pushed } = await runVictim(order);
      const pull: Order = { ...order, what: "pull", digest: String(pushed["digest"]), target: join(folder.path, `${name}-pulled`) };
      const { result: pulled } = await runVictim(pull);
      return { push: Number(pushed["peakBytes"]) / mebibyte, pull: Number(pulled["peakBytes"]) / mebibyte };
    };
    const small = await peaks("small", 8);
    // Node itself, and what strips the types of the sources, are the most of it; a program built ahead has 30 MiB less.
    expect(Math.max(small.push, small.pull)).toBeLessThan(160);
    const large = await peaks("large", 384);
    // Garbage waits longer for its collection on a computer that is busy: 230 when quiet.
    expect(Math.max(large.push, large.pull)).toBeLessThan(290);
  });
});

function noise(path: string, bytes: number): void {
  mkdirSync(path);
  const fd = openSync(join(path, "disk"), "wx");
  const step = Buffer.allocUnsafe(8 * 1024 * 1024);
  for (let at = 0; at < bytes; at += step.byteLength) writeSync(fd, randomFillSync(step), 0, step.byteLength, at);
  closeSync(fd);
}
