/**
 * A push and a pull that are killed at 50 random moments each: what comes out is right bit by bit, and what had arrived does not travel again.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { packBytes } from "../../images/format.ts";
import { imagePaths } from "../../images/layout.ts";
import { pullTree } from "../../images/pull.ts";
import { pushBundle } from "../../images/push.ts";
import { folderStore } from "../../stores/folder.ts";
import { fromSeed, listTree, makeDisk, random, workFolder } from "../images/samples.ts";
import { orders, runVictim, type Order } from "../images/victims.ts";

const seed = Number(process.env["DROVER_TEST_SEED"] ?? Math.floor(Math.random() * 1e9));
const kills = 50;
const mebibyte = 1024 * 1024;
const signal = new AbortController().signal;

const lines = (log: string, word: string): [string, number][] =>
  readFileSync(log, "utf8")
    .split("\n")
    .filter((line) => line.startsWith(`${word} `))
    .map((line) => line.split(" "))
    .map(([, one = "", other = ""]) => (word === "read" ? [other, Number(one)] : [one, Number(other)]));

/** Bytes of packs that were sent in vain: begun, and not in the store when the push went on. */
function sentAgain(log: string): number {
  const present = new Set([...lines(log, "written"), ...lines(log, "present")].map(([key]) => key));
  const packs = lines(log, "sent").filter(([key]) => key.includes("/packs/"));
  const sent = packs.reduce((sum, [, bytes]) => sum + bytes, 0);
  const needed = new Map(packs.filter(([key]) => present.has(key)));
  return sent - [...needed.values()].reduce((sum, bytes) => sum + bytes, 0);
}

// With one pack on its way at a time, a kill costs that one at most; with four, these four.
it.each([1, 4])(`a push with %i packs on their way resumes after each of ${kills} kills (DROVER_TEST_SEED=${seed})`, async (parallel) => {
  await using folder = await workFolder();
  const next = random(seed + parallel);
  makeDisk(join(folder.path, "bundle"), `kill ${seed}`, 88 * mebibyte);
  const wanted = listTree(join(folder.path, "bundle"));
  const whole = await runVictim({
    ...orders(folder.path),
    parallel,
    store: join(folder.path, "whole"),
    log: join(folder.path, "whole-log"),
  });
  const costs: number[] = [];
  for (let kill = 0; kill < kills; kill++) {
    const path = join(folder.path, `${kill}`);
    mkdirSync(path);
    const order = { ...orders(path), parallel, bundle: join(folder.path, "bundle") };
    writeFileSync(order.log, "");
    const { killed } = await runVictim(order, 1 + Math.floor(next() * whole.steps), Math.floor(next() * 30));
    const { result } = await runVictim(order);
    expect(result).toMatchObject({ digest: whole.result["digest"] });
    if (killed) costs.push(sentAgain(order.log));
    const image = { digest: String(result["digest"]), generation: 1 };
    await pullTree({ ...image, store: folderStore(order.store), targetPath: order.target, seeds: [], signal });
    expect(listTree(imagePaths(order.target).bundle), `kill ${kill}`).toEqual(wanted);
    rmSync(path, { recursive: true });
  }
  process.stdout.write(
    `${parallel} at once: ${costs.length} kills cost ${costs.map((bytes) => (bytes / packBytes).toFixed(1)).join(" ")} packs\n`,
  );
  // A pack is closed once it is full, so its last chunk may go over.
  expect(Math.max(...costs)).toBeLessThanOrEqual(parallel * packBytes * 1.02);
});

it(`a pull resumes after each of ${kills} kills (DROVER_TEST_SEED=${seed})`, async () => {
  await using folder = await workFolder();
  const next = random(seed);
  const base = { ...orders(folder.path), parallel: 2, what: "pull" as const };
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
  const needed = lines(join(folder.path, "whole-log"), "read").reduce((sum, [, bytes]) => sum + bytes, 0);
  const costs: number[] = [];
  for (let kill = 0; kill < kills; kill++) {
    const order = { ...pull, target: join(folder.path, `target-${kill}`), log: join(folder.path, `log-${kill}`) };
    writeFileSync(order.log, "");
    const { killed } = await runVictim(order, 1 + Math.floor(next() * whole.steps), Math.floor(next() * 30));
    await runVictim(order);
    const read = lines(order.log, "read").reduce((sum, [, bytes]) => sum + bytes, 0);
    if (killed) costs.push(read - needed);
    expect(listTree(imagePaths(order.target).bundle), `kill ${kill}`).toEqual(wanted);
    rmSync(order.target, { recursive: true });
  }
  process.stdout.write(`pull: ${costs.length} kills cost ${costs.map((bytes) => (bytes / packBytes).toFixed(1)).join(" ")} packs\n`);
  expect(Math.max(...costs)).toBeLessThanOrEqual(packBytes);
});
