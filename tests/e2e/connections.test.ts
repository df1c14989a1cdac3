/**
 * Connections that are reset, cut short and delayed while operations are under way: one small round of the long campaign with a fresh seed.
 *
 * The seed is printed; DROVER_TEST_SEED repeats a run. `npm run test:long -- connections` has every fault, the silent ones too, on every connection.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { randomFrom, testSeed } from "../crash/random.ts";
import { openStage, type Stage } from "../crash/round.ts";
import { connections, openLinedFleet, type LinedFleet } from "../lines/fleet.ts";
import { struckRound } from "../lines/round.ts";

const seed = testSeed();
const random = randomFrom(seed);
/** Those that are noticed at once. */
const faults = ["reset", "cut short", "delay"] as const;

let lined: LinedFleet;
let stage: Stage;
beforeAll(async () => {
  lined = await openLinedFleet(2);
  ({ stage } = await openStage(lined.fleet, { perVerb: 1, calmRounds: 2, random }));
}, 240_000);
afterAll(() => lined?.close(), 60_000);

it(`ends every operation right while its connections break, and leaves nothing (seed ${seed})`, async () => {
  const of = connections.map((connection) => ({ connection, fault: random.pick(faults) }));
  const { wrong, strikes } = await struckRound(lined, { stage, of, withinMs: 4_000, random });
  expect(wrong).toEqual([]);
  expect(strikes.some(({ hit }) => hit > 0)).toBe(true);
}, 300_000);
