/** Guarantee of collection under kills: whenever it dies, nothing living is lost, and a later one leaves nothing dead. A sample; `tests/long` has fifty. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { openHub, type Hub } from "../control/hub.ts";
import { killCollections } from "./victims.ts";

const seed = Number(process.env["DROVER_TEST_SEED"] ?? Math.floor(Math.random() * 1e9));
let hub: Hub;
beforeAll(async () => {
  hub = await openHub();
}, 60_000);
afterAll(() => hub.close());

it("loses nothing living and leaves nothing dead, wherever it is killed", async () => {
  const { lost, left, again } = await killCollections(hub, seed, 2);
  expect({ lost, left, again }, `seed ${seed}`).toEqual({ lost: [], left: 0, again: [] });
}, 300_000);
