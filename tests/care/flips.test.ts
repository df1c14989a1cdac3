/** Guarantee of a check: a single flipped bit anywhere in a store is found, and no pull serves it. A sample; `tests/long` has four hundred. */
import { expect, it } from "vitest";
import { flipBits } from "./flips.ts";

const seed = Number(process.env["DROVER_TEST_SEED"] ?? Math.floor(Math.random() * 1e9));

it("finds a flipped bit in packs, trees, locations and the store's identity, and serves none", async () => {
  const { missed, served } = await flipBits(seed, 12);
  expect({ missed, served }, `seed ${seed}`).toEqual({ missed: [], served: [] });
}, 180_000);
