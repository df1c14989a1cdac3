/**
 * A host that slept through its replacement changes nothing and publishes nothing when it wakes: one small round of the long campaign with a fresh seed.
 *
 * The seed is printed; DROVER_TEST_SEED repeats a run. `npm run test:long -- zombies` has fifty of each.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { randomFrom, testSeed } from "../crash/random.ts";
import { makeVictims, type Victim } from "../zombies/destroy.ts";
import { openGround, type Ground } from "../zombies/ground.ts";
import { zombieRound } from "../zombies/round.ts";
import { sampleIn } from "./faults.ts";

const seed = testSeed();
let ground: Ground;
let victims: Victim[] = [];
beforeAll(async () => {
  ground = await openGround(1);
  await ground.stack.json("push", await sampleIn(ground.stack, "own", "base", 2), "base", "--version", "1");
  victims = await makeVictims(ground, 5);
}, 240_000);
afterAll(() => ground?.close(), 60_000);

it(`refuses what a host still wants to do when it wakes from a sleep that it did not notice (seed ${seed})`, async () => {
  const result = await zombieRound(ground, { number: 1, victims, pushesPerHost: 2, random: randomFrom(seed) });
  expect(result.wrong).toEqual([]);
  expect(result.changes).toMatchObject({ zombies: 5, refused: 5 });
  expect(result.pushes).toEqual({ zombies: 2, refused: 2 });
}, 240_000);
