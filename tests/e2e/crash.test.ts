/**
 * `kill -9` of all six processes while pushes, pulls, provisions and retires are under way: one round of the long campaign with a fresh seed.
 *
 * The seed is printed; DROVER_TEST_SEED repeats a run. `npm run test:long -- crash` kills at hundreds of points.
 */
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Ask } from "../crash/asks.ts";
import { openFleet, type Fleet } from "../crash/fleet.ts";
import { findWrong } from "../crash/invariants.ts";
import { victims } from "../crash/kills.ts";
import { randomFrom, testSeed } from "../crash/random.ts";
import { openStage, runRound, type Stage } from "../crash/round.ts";
import { sabotage } from "../crash/sabotage.ts";
import { openTally } from "../crash/tally.ts";
import { runCommand } from "./stack.ts";

const seed = testSeed();
const random = randomFrom(seed);
const tally = openTally();
/** Two of each verb over two hosts: what a loaded computer ends within a test run. */
const size = { perVerb: 2, calmRounds: 2 };
const order = victims
  .map((victim) => ({ victim, at: random.next() }))
  .toSorted((a, b) => a.at - b.at)
  .map(({ victim }) => victim);

let fleet: Fleet;
let stage: Stage;
let asks: readonly Ask[] = [];
beforeAll(async () => {
  fleet = await openFleet({ hosts: 2, store: "folder" });
  ({ stage, asks } = await openStage(fleet, { ...size, random }));
}, 240_000);
afterAll(async () => {
  process.stderr.write(`crash tests: seed ${seed}\n${tally.tables()}\n`);
  await fleet?.close();
}, 180_000);

it(`ends every operation right when all six processes are killed, ${order.join(", ")} (seed ${seed}), and leaves nothing`, async () => {
  // The first within the operations' first seconds, each other while the one before is being mended.
  const kills = order.map((victim) => ({ victim, atMs: random.between(1_000, 3_000) }));
  const result = await runRound(stage, { kills, askAtMs: () => random.between(0, 3_000), random });
  tally.add(result, kills.length);
  asks = result.asks;
  expect(result.wrong).toEqual([]);
  expect(result.hits.length).toBeGreaterThan(0);
}, 300_000);

it("refuses a second process of one host on the same computer, and says which one runs", async () => {
  const { stack } = fleet;
  const env = { PATH: process.env["PATH"], DROVER_HOME: join(stack.home, "hosts", "mac-1"), DROVER_SIMULATE: "true" };
  const ran = await runCommand(["run", "host"], env);
  expect(ran.code).not.toBe(0);
  expect(ran.stderr).toContain(`process ${stack.stack.pids()["mac-1"]}`);
}, 180_000);

it("finds what was left, lost, doubled or changed, when somebody does so by hand", async () => {
  const expected = await sabotage(fleet, asks);
  const found = (await findWrong(fleet, asks, 0)).join("\n");
  expect(expected.filter((sentence) => !sentence.test(found)).map(String), found).toEqual([]);
}, 180_000);
