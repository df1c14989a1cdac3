/**
 * The life of one bundle at random: pushed, edited, pushed again, pulled whole and pulled from what the host has, and each time the same bit by bit.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { imagePaths } from "../../images/layout.ts";
import { pullTree } from "../../images/pull.ts";
import { pushBundle } from "../../images/push.ts";
import type { Seed } from "../../images/seeds.ts";
import type { ImageRef } from "../../images/stored.ts";
import { memoryStore } from "../../stores/memory.ts";
import { editTree } from "./edits.ts";
import { listTree, makeTree, random, workFolder } from "./samples.ts";

export async function liveThrough(seed: number, turns: number): Promise<void> {
  await using folder = await workFolder();
  const at = (name: string) => join(folder.path, name);
  const bundle = at("bundle");
  const next = random(seed);
  const store = memoryStore();
  const signal = new AbortController().signal;
  let bases: ImageRef[] = [];
  let seeds: Seed[] = [];
  makeTree(bundle, seed);
  for (let turn = 0; turn < turns; turn++) {
    if (turn > 0) editTree(bundle, next, turn);
    const told = `seed ${seed}, turn ${turn}`;
    const wanted = listTree(bundle);
    const push = { bundlePath: bundle, store, bases, generation: 1, recordPath: at("record"), signal };
    const image = await pushBundle({ ...push, journalPath: at(`journal-${turn}`), level: turn % 2 === 0 ? 3 : "adaptive" });
    const verified = await pushBundle({ ...push, bases: [image], journalPath: at(`journal-${turn}v`), verify: true });
    expect(verified, told).toMatchObject({ digest: image.digest, sentBytes: 0 });
    const whole = at(`whole-${turn}`);
    await pullTree({ ...image, store, targetPath: whole, seeds: [], signal });
    expect(listTree(imagePaths(whole).bundle), `${told}, pulled whole`).toEqual(wanted);
    const delta = at(`delta-${turn}`);
    await pullTree({ ...image, store, targetPath: delta, seeds, signal });
    expect(listTree(imagePaths(delta).bundle), `${told}, pulled from seeds`).toEqual(wanted);
    for (const seedOfBefore of seeds) rmSync(seedOfBefore.path, { recursive: true });
    rmSync(whole, { recursive: true });
    [bases, seeds] = [[image], [{ digest: image.digest, path: delta }]];
  }
}
