/** A cancelled operation ends within 5 s, wherever it is, and leaves nothing: the steps that have something of their own to undo or to kill. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { cancelIn, openWorld, scenarios, type World } from "./cancelling.ts";

/** Promised for a live host. */
const withinMs = 5_000;

let world: World;
beforeAll(async () => {
  world = await openWorld();
}, 180_000);
afterAll(() => world?.close(), 60_000);

it.each(scenarios.filter(({ often }) => often))(
  "ends in time and leaves nothing: $name",
  async (scenario) => {
    const { outcome, tookMs } = await cancelIn(world, scenario);
    expect(outcome).toBe(scenario.outcome ?? "cancelled");
    expect(tookMs).toBeLessThan(withinMs);
  },
  90_000,
);
