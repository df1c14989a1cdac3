/** Guarantees of collection: whatever pushes, deletes and dies in between, nothing living is lost, and in the end nothing dead is left. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { packsOfLiving } from "../../images/collect.ts";
import { planRepack, repack } from "../../images/repack.ts";
import { graceMs, isWhole, never, openModel, type Model } from "./catalog-model.ts";

const seed = Number(process.env["DROVER_TEST_SEED"] ?? Math.floor(Math.random() * 1e9));

const steps: ReadonlyArray<(model: Model) => unknown> = [
  (model) => model.beginPush(),
  (model) => model.stepPush(),
  (model) => model.stepPush(),
  (model) => model.stepPush(),
  (model) => model.stepPush(),
  (model) => model.abandonPush(),
  (model) => model.deleteVersion(),
  (model) => model.mark(),
  (model) => model.sweep(() => meanwhile(model)),
  (model) => model.pass(graceMs / 2),
  (model) => model.pass(graceMs),
];

async function meanwhile(model: Model): Promise<void> {
  if (model.pick(3) === 0) model.beginPush();
  if (model.pick(2) === 0) await model.stepPush();
  if (model.pick(4) === 0) model.deleteVersion();
}

async function mustBeWhole({ store, versions }: Model, told: string): Promise<void> {
  for (const [name, ref] of versions) expect(await isWhole(store, ref), `${name} after ${told}`).toBe(true);
}

describe("a collection", () => {
  it("loses nothing living, in whatever order pushes, deletes, marks and sweeps come", async () => {
    for (let round = 0; round < 3; round++) {
      const model = openModel(seed + round);
      for (let n = 0; n < 80; n++) {
        const step = model.pick(steps.length);
        await steps[step]?.(model);
        await mustBeWhole(model, `step ${n} (${step}), seed ${seed + round}`);
      }
      model.endPushes();
      for (let n = 0; n < 2; n++) {
        await model.mark();
        model.pass(graceMs);
        await model.sweep();
      }
      await mustBeWhole(model, `the end, seed ${seed + round}`);
      const needed = await packsOfLiving(model.store, [...model.versions.values()], never);
      const digests = new Set([...model.versions.values()].map(({ digest }) => digest));
      // One pack, one tree and one list of locations each, and nothing else.
      expect(model.objects.size, `seed ${seed + round}`).toBe(needed.packs + digests.size * 2);
    }
  }, 180_000);

  it("removes no pack while the locations of a living tree name one that the store does not have", async () => {
    const model = openModel(seed);
    while (model.versions.size < 2) {
      model.beginPush();
      await model.stepPush();
    }
    const [ref] = model.versions.values();
    const key = [...model.objects.keys()].find((one) => one.includes(`locations/${ref?.digest}`)) ?? "";
    const locations = Buffer.from(model.objects.get(key) ?? []);
    // The first byte of the first pack's name: the real pack looks dead from then on.
    locations[44 + 48] = (locations[44 + 48] ?? 0) ^ 1;
    model.objects.set(key, locations);
    model.endPushes();
    await model.mark();
    model.pass(graceMs);
    const before = [...model.objects.keys()].filter((one) => one.includes("/packs/"));
    await expect(model.sweep()).rejects.toMatchObject({ fault: { code: "store_object_missing" } });
    expect([...model.objects.keys()].filter((one) => one.includes("/packs/"))).toEqual(before);
  });
});

describe("repacking", () => {
  it("moves what lives of mostly dead packs, and leaves every tree whole and less stored", async () => {
    const folder = await mkdtemp(join(tmpdir(), "drover-repack-"));
    for (let round = 0; round < 3; round++) {
      const model = openModel(seed + round);
      for (let n = 0; n < 40; n++) {
        model.beginPush();
        await model.stepPush();
        await model.stepPush();
        await model.stepPush();
        if (model.pick(3) === 0) model.deleteVersion();
      }
      model.endPushes();
      const living = await model.living();
      const before = await packsOfLiving(model.store, living, never);
      const pointTo = async (from: { digest: string; generation: number }, to: { digest: string; generation: number }) => {
        for (const [name, ref] of model.versions)
          if (ref.digest === from.digest && ref.generation === from.generation)
            model.versions.set(name, { digest: to.digest, generation: to.generation });
      };
      const ask = { store: model.store, living, folder: join(folder, `${round}`), pointTo, signal: never };
      const plan = await planRepack(ask);
      const moved = await repack(ask, plan);
      expect(moved).toMatchObject({ packs: plan.packs.length, movedBytes: plan.movedBytes });
      await mustBeWhole(model, `repacking, seed ${seed + round}`);
      const after = await packsOfLiving(model.store, await model.living(), never);
      // More where a new pack comes out as one that was there already.
      expect(before.bytes - after.bytes, `seed ${seed + round}`).toBeGreaterThanOrEqual(plan.freedBytes);
      expect((await planRepack({ ...ask, living: await model.living() })).packs).toEqual([]);
    }
    await rm(folder, { recursive: true });
  }, 180_000);
});
