/**
 * `kill -9` of each of the six processes at random points of push, pull, provision and retire: every operation ends right, nothing is left or lost.
 *
 * The seed is printed, DROVER_TEST_SEED repeats a campaign; DROVER_CRASH_POINTS says how many points each verb gets under each process.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { crashVerbs, type CrashVerb } from "../crash/asks.ts";
import { openFleet, type Fleet } from "../crash/fleet.ts";
import { stepsOf, type Victim } from "../crash/kills.ts";
import { randomFrom, testSeed, type Random } from "../crash/random.ts";
import { openStage, runRound, type Kill, type Lives, type RoundResult, type Stage } from "../crash/round.ts";
import { openTally } from "../crash/tally.ts";

const seed = testSeed();
const wanted = Number(process.env["DROVER_CRASH_POINTS"] ?? 50);
/** Of each verb at once: more make a kill hit more, and each of them slower. */
const perVerb = 6;
const hosts = 3;
const tally = openTally();
const say = (text: string) => void process.stderr.write(`${text}\n`);
say(`crash campaign: seed ${seed}, ${wanted} points per verb and process`);

describe.each([
  // Here the gateway carries the bytes.
  { store: "folder", victims: ["gateway"] },
  { store: "S3", victims: ["host worker", "hub worker", "API", "Temporal server", "PostgreSQL"] },
] as const)("with a store of kind $store", ({ store, victims }) => {
  const random = randomFrom(seed);
  let fleet: Fleet;
  let stage: Stage;
  let lives: Lives;
  beforeAll(async () => {
    fleet = await openFleet({ hosts, store });
    ({ stage, lives } = await openStage(fleet, { perVerb, random }));
    for (const step of await stepsOf(fleet)) known.set(keyOf(step), step);
    say(`undisturbed: ${crashVerbs.map((verb) => `${verb} ${(lives[verb] / 1000).toFixed(1)} s`).join(", ")}`);
  }, 600_000);
  afterAll(() => fleet?.close(), 60_000);

  it(`ends every operation right when it is killed: ${victims.join(", ")}`, async () => {
    const wrong: string[] = [];
    const least = (victim: Victim) => Math.min(...crashVerbs.map((verb) => tally.points(victim, verb)));
    // Each kill hits about four of the six: who needs thrice the rounds does not hit.
    for (let round = 1; round <= victims.length * (wanted + 3); round += 1) {
      const [victim] = victims.toSorted((a, b) => least(a) - least(b));
      if (victim === undefined || least(victim) >= wanted) break;
      const began = performance.now();
      const plan = planOf(victim, lives, random);
      const result = await runRound(stage, plan);
      tally.add(result, plan.kills.length);
      lives = adapted(lives, result);
      const points = crashVerbs.map((verb) => `${verb} ${tally.points(victim, verb)}`).join(", ");
      say(`${victim}, round ${stage.number} (${((performance.now() - began) / 1000).toFixed(0)} s): ${points}`);
      wrong.push(...result.wrong.map((what) => `${victim}, round ${stage.number}: ${what}`));
      for (const what of result.wrong) say(`  WRONG: ${what}`);
      // A campaign that is broken off has told what it came to.
      say(`\nseed ${seed}, ${new Date().toISOString()}\n${tally.tables()}\n`);
    }
    expect(wrong).toEqual([]);
    expect(Math.min(...victims.map(least))).toBeGreaterThanOrEqual(wanted);
  });
});

/** Steps that operations of this campaign had, and that a kill can find them in. */
const known = new Map<string, { verb: CrashVerb; step: string }>();
const keyOf = ({ verb, step }: { verb: CrashVerb; step: string }): string => `${verb} / ${step}`;

it("has hit every step of every verb", () => {
  const hit = tally.steps();
  expect([...known.keys()].filter((key) => !hit.has(key))).toEqual([]);
});

/** Who shares the computer changes: where the first kill found too few under way, lives were shorter than thought, and where it found all, longer. */
function adapted(lives: Lives, { asks, hits }: RoundResult): Lives {
  const first = Math.min(...hits.map(({ killedAt }) => killedAt));
  const factor = (verb: CrashVerb): number => {
    const found = hits.filter((hit) => hit.verb === verb && hit.killedAt === first).length;
    const share = found / asks.filter((ask) => ask.verb === verb).length;
    return share < 0.7 ? 0.7 : share > 0.95 ? 1.15 : 1;
  };
  const [push = 1, pull = 1, provision = 1, retire = 1] = crashVerbs.map(factor);
  return {
    push: lives.push * push,
    pull: lives.pull * pull,
    provision: lives.provision * provision,
    retire: lives.retire * retire,
  };
}

/** A step on a host is tried four times: with one kill more than this, chance could use them up. */
const furtherKills = 2;

/** An answer takes some hundredths of a second in such company: a request begun this shortly before may be open still. */
const requestMs = 150;

/**
 * The first kill comes when each operation is at a point of its life that chance chose. In every second round it waits for a step that few kills have
 * found so far. The others come while what was done before is being mended or has just been.
 */
function planOf(victim: Victim, lives: Lives, random: Random): { kills: Kill[]; askAtMs: (verb: CrashVerb) => number; random: Random } {
  const atMs = 1.1 * Math.max(...Object.values(lives));
  const openRequests = victim === "API" ? 0.35 : 0.05;
  const hit = tally.steps();
  const [seldom] = [...known.values()].toSorted((a, b) => (hit.get(keyOf(a)) ?? 0) - (hit.get(keyOf(b)) ?? 0) + random.between(-0.4, 0.4));
  const first: Kill = { victim, atMs, aim: random.next() < 0.5 ? seldom : undefined };
  const further = Array.from({ length: furtherKills }, (): Kill => ({ victim, atMs: random.between(4_000, 25_000) }));
  return {
    random,
    kills: [first, ...further],
    askAtMs: (verb) => atMs - random.next() * (random.next() < openRequests ? requestMs : lives[verb]),
  };
}
