/** Whatever is done to a bundle: what was pushed comes back bit by bit, whole or as a delta. Three lives here, hundreds in `tests/long`. */
import { expect, it } from "vitest";
import { liveThrough } from "./lives.ts";

const seed = Number(process.env["DROVER_TEST_SEED"] ?? Math.floor(Math.random() * 1e9));

it.each([0, 1, 2].map((n) => seed + n))("gives back each state of a bundle that is edited at random (DROVER_TEST_SEED=%i)", async (of) => {
  await liveThrough(of, 3);
  expect.assertions(9);
});
