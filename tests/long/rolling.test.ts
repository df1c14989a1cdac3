/**
 * All host workers are replaced, one after the other, as an upgrade does it, while a hundred operations run: all of them end right.
 *
 * The seed is printed; DROVER_TEST_SEED repeats a run.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openFleet, type Fleet } from "../crash/fleet.ts";
import { underWay } from "../crash/kills.ts";
import { randomFrom, testSeed } from "../crash/random.ts";
import { openStage, runRound, type Stage } from "../crash/round.ts";
import { logged, signal, until } from "../zombies/ground.ts";

const seed = testSeed();
const random = randomFrom(seed);
const say = (text: string) => void process.stderr.write(`${text}\n`);
/** Four verbs: a hundred at once. */
const perVerb = 25;

let fleet: Fleet;
let stage: Stage;
beforeAll(async () => {
  fleet = await openFleet({ hosts: 3, store: "folder" });
  ({ stage } = await openStage(fleet, { perVerb, calmRounds: 2, random }));
}, 1_800_000);
afterAll(() => fleet?.close(), 60_000);

it(`ends a hundred operations right while every host worker is replaced (seed ${seed})`, async () => {
  const running: number[] = [];
  const replaceAll = async () => {
    await until("most are asked for", async () => (await underWay(fleet)).length > 3 * perVerb, 120_000);
    for (const { name } of fleet.hosts) {
      running.push((await underWay(fleet)).length);
      const before = (await logged(fleet.stack, name, "host.started")).length;
      signal(fleet.stack, name, "SIGTERM");
      await until(`${name} is replaced`, async () => (await logged(fleet.stack, name, "host.started")).length > before, 120_000);
      await delay(500);
    }
  };
  const [round] = await Promise.all([runRound(stage, { kills: [], askAtMs: () => random.between(0, 2_000), random }), replaceAll()]);
  const longest = Math.max(...round.livedMs.map(({ ms }) => ms));
  say(
    `rolling: seed ${seed}, ${new Date().toISOString()}: ${round.asks.length} operations, ${running.join(", ")} under way when each host worker ended, the longest took ${(longest / 1000).toFixed(0)} s`,
  );
  expect(round.wrong).toEqual([]);
  expect(round.asks.length).toBe(4 * perVerb);
  expect(Math.min(...running)).toBeGreaterThan(0);
});
