/**
 * Two hub workers, one of which is stopped for longer than any step of the hub may take, and woken: the other goes on, and nothing is done twice.
 *
 * The seed is printed, DROVER_TEST_SEED repeats a campaign; DROVER_HUB_ZOMBIES says how often a hub worker is stopped.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { hubChildren } from "../../deploy/children.ts";
import { readConfig } from "../../domain/config/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { openFleet, type Fleet } from "../crash/fleet.ts";
import { underWay } from "../crash/kills.ts";
import { randomFrom, testSeed } from "../crash/random.ts";
import { openStage, runRound, type Stage } from "../crash/round.ts";

const seed = testSeed();
const random = randomFrom(seed);
const rounds = Number(process.env["DROVER_HUB_ZOMBIES"] ?? 10);
/** A step of the hub is given up after 30 s, and tried again by the other worker. */
const asleepMs = 35_000;
const workers = ["hub", "hub-2"] as const;
const say = (text: string) => void process.stderr.write(`${text}\n`);

let fleet: Fleet;
let stage: Stage;
beforeAll(async () => {
  fleet = await openFleet({ hosts: 2, store: "folder" });
  const { stack } = fleet.stack;
  const config = unwrap(readConfig({ ...fleet.stack.env }));
  const [hub] = hubChildren(config).filter(({ name }) => name === "hub");
  if (!hub) throw new Error("The stack has no hub worker.");
  await stack.start([{ ...hub, name: "hub-2", env: { ...hub.env, HUB_HEALTH_PORT: "0" }, ready: async () => true }]);
  ({ stage } = await openStage(fleet, { perVerb: 2, calmRounds: 2, random }));
}, 600_000);
afterAll(async () => {
  // A stopped process would not hear that it is to end.
  for (const name of workers) send(name, "SIGCONT");
  await fleet?.close();
}, 60_000);

function send(name: string, what: "SIGSTOP" | "SIGCONT"): void {
  const pid = fleet?.stack.stack.pids()[name];
  if (pid) process.kill(pid, what);
}

it(`ends every operation right and once when one of two hub workers sleeps and wakes (seed ${seed})`, async () => {
  const wrong: string[] = [];
  for (let number = 1; number <= rounds; number += 1) {
    const victim = random.pick(workers);
    let found = 0;
    const sleep = async () => {
      await delay(random.between(500, 5_000));
      send(victim, "SIGSTOP");
      found = (await underWay(fleet)).length;
      await delay(asleepMs);
      send(victim, "SIGCONT");
    };
    const [round] = await Promise.all([runRound(stage, { kills: [], askAtMs: () => random.between(0, 2_000), random }), sleep()]);
    const longest = Math.max(...round.livedMs.map(({ ms }) => ms));
    say(
      `hub zombies, round ${number}: ${victim} slept with ${found} of ${round.asks.length} operations under way; the longest took ${(longest / 1000).toFixed(0)} s`,
    );
    for (const what of round.wrong) say(`  WRONG: ${what}`);
    wrong.push(...round.wrong);
  }
  say(`hub zombies: seed ${seed}, ${new Date().toISOString()}`);
  expect(wrong).toEqual([]);
});
