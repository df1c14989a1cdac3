/**
 * Every fault of every connection, again and again, while pushes, pulls, provisions and retires are under way: every operation ends right.
 *
 * The seed is printed, DROVER_TEST_SEED repeats a campaign; DROVER_LINE_FAULTS says how many faults each connection gets.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { randomFrom, testSeed } from "../crash/random.ts";
import { openStage, type Stage } from "../crash/round.ts";
import { connections, openLinedFleet, type LinedFleet } from "../lines/fleet.ts";
import { lineFaults } from "../lines/line.ts";
import { struckRound } from "../lines/round.ts";

const seed = testSeed();
const random = randomFrom(seed);
const wanted = Number(process.env["DROVER_LINE_FAULTS"] ?? 40);
/** Of each connection in one round. */
const perRound = 4;
const say = (text: string) => void process.stderr.write(`${text}\n`);

let lined: LinedFleet;
let stage: Stage;
beforeAll(async () => {
  lined = await openLinedFleet(2);
  ({ stage } = await openStage(lined.fleet, { perVerb: 3, random }));
}, 600_000);
afterAll(() => lined?.close(), 60_000);

it(`ends every operation right whichever connection goes bad and however (seed ${seed})`, async () => {
  const counts = new Map<string, { strikes: number; hit: number }>();
  const wrong: string[] = [];
  for (let number = 0; number < wanted / perRound; number += 1) {
    const of = connections.flatMap((connection) =>
      Array.from({ length: perRound }, (_, index) => ({
        connection,
        fault: lineFaults[(number * perRound + index) % lineFaults.length] ?? random.pick(lineFaults),
      })),
    );
    const round = await struckRound(lined, { stage, of, withinMs: 12_000, random });
    for (const { connection, fault, hit } of round.strikes) {
      const before = counts.get(`${connection} | ${fault}`) ?? { strikes: 0, hit: 0 };
      counts.set(`${connection} | ${fault}`, { strikes: before.strikes + 1, hit: before.hit + hit });
    }
    say(`connections, round ${number + 1}: ${round.operations} operations, the longest ${(round.longestMs / 1000).toFixed(0)} s`);
    for (const what of round.wrong) say(`  WRONG: ${what}`);
    wrong.push(...round.wrong);
  }
  const rows = [...counts].map(([name, { strikes, hit }]) => `| ${name} | ${strikes} | ${hit} |`);
  say(`packs that came again because the question after them overtook them: ${lined.fleet.puts?.crossed().length ?? 0}`);
  say(
    `connections: seed ${seed}, ${new Date().toISOString()}\n| connection | fault | strikes | connections hit |\n${rows.toSorted().join("\n")}`,
  );
  expect(wrong).toEqual([]);
});
