/**
 * Hosts that sleep through their replacement, fifty times in the middle of a change and fifty times in the middle of a push: none of them does it any more.
 *
 * The seed is printed, DROVER_TEST_SEED repeats a campaign; DROVER_ZOMBIES says how many of each there are at least.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { randomFrom, testSeed } from "../crash/random.ts";
import { sampleIn } from "../e2e/faults.ts";
import { makeVictims, type Victim } from "../zombies/destroy.ts";
import { openGround, type Ground } from "../zombies/ground.ts";
import { zombieRound } from "../zombies/round.ts";

const seed = testSeed();
const random = randomFrom(seed);
const wanted = Number(process.env["DROVER_ZOMBIES"] ?? 50);
const hosts = 2;
const perHost = 5;
const say = (text: string) => void process.stderr.write(`${text}\n`);

let ground: Ground;
let victims: Victim[] = [];
beforeAll(async () => {
  ground = await openGround(hosts);
  await ground.stack.json("push", await sampleIn(ground.stack, "own", "base", 2), "base", "--version", "1");
  victims = await makeVictims(ground, perHost);
}, 600_000);
afterAll(() => ground?.close(), 60_000);

it(`refuses every change and every publish of a host that was stopped past its heartbeats (seed ${seed})`, async () => {
  const sum = { changes: 0, refusedChanges: 0, fenced: 0, pushes: 0, refusedPushes: 0 };
  const wrong: string[] = [];
  for (let number = 1; sum.changes < wanted || sum.pushes < wanted; number += 1) {
    const began = performance.now();
    const round = await zombieRound(ground, { number, victims, pushesPerHost: perHost, random });
    sum.changes += round.changes.zombies;
    sum.refusedChanges += round.changes.refused;
    sum.fenced += round.changes.fenced;
    sum.pushes += round.pushes.zombies;
    sum.refusedPushes += round.pushes.refused;
    wrong.push(...round.wrong);
    say(`zombies, round ${number} (${((performance.now() - began) / 1000).toFixed(0)} s): ${JSON.stringify(sum)}`);
    for (const what of round.wrong) say(`  WRONG: ${what}`);
  }
  say(`zombies: seed ${seed}, ${new Date().toISOString()}: ${JSON.stringify(sum)}`);
  expect(wrong).toEqual([]);
  expect([sum.refusedChanges, sum.refusedPushes]).toEqual([sum.changes, sum.pushes]);
});
