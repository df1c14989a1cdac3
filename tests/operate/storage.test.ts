/**
 * Every symptom of `docs/operate.md` about storage, disks and refusals: caused on a real stack, mended by the commands that the page shows, with what they print.
 */
import { afterAll, afterEach, beforeAll, describe } from "vitest";
import { expectNothingLeft, onDiskOf } from "../e2e/faults.ts";
import { fullDiskSymptoms } from "./host-symptoms.ts";
import { noRoomSymptom, revokedSymptoms, wrongBundleSymptoms } from "./refused-symptoms.ts";
import { awaySymptoms, deniedSymptom, spoiledSymptom } from "./store-symptoms.ts";
import { host, openWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await openWorld();
  for (const [name, mebibytes] of [
    ["wanted", 12],
    ["away", 2],
    ["slow", 12],
  ] as const)
    await world.publish(name, mebibytes);
}, 180_000);
afterAll(() => world?.close(), 60_000);

describe("a host's disk", () => {
  afterEach(() => expectNothingLeft(world.stack, host, world.before), 30_000);
  fullDiskSymptoms(() => world);
});

describe("what is refused", () => {
  afterEach(() => expectNothingLeft(world.stack, host, world.before), 30_000);
  wrongBundleSymptoms(() => world);
  noRoomSymptom(() => world);
  revokedSymptoms(() => world);
  spoiledSymptom(() => world);
});

describe("the store", () => {
  awaySymptoms(() => world);
  deniedSymptom(() => world);
  afterAll(async () => {
    const { cached } = await onDiskOf(world.stack, host);
    await expectNothingLeft(world.stack, host, { ...world.before, cached });
  }, 180_000);
});
