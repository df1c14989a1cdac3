/** Many random lives of bundles: each state that was pushed comes back bit by bit, whole and as a delta. DROVER_TEST_LIVES says how many. */
import { expect, it } from "vitest";
import { liveThrough } from "../images/lives.ts";

const seed = Number(process.env["DROVER_TEST_SEED"] ?? Math.floor(Math.random() * 1e9));
const lives = Number(process.env["DROVER_TEST_LIVES"] ?? 150);
const turns = 5;

it(`gives back each state of ${lives} bundles that are edited at random (DROVER_TEST_SEED=${seed})`, async () => {
  for (let life = 0; life < lives; life++) await liveThrough(seed + life, turns);
  expect.assertions(lives * turns * 3);
});
