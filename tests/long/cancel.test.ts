/** A cancelled operation ends within 5 s and leaves nothing, in every step of every verb. Prints how long each took. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { cancelIn, openWorld, scenarios, type World } from "../holds/cancelling.ts";

/** Promised for a live host. */
const withinMs = 5_000;

let world: World;
const took: string[] = [];
beforeAll(async () => {
  world = await openWorld();
}, 180_000);
afterAll(async () => {
  process.stdout.write(`${took.join("\n")}\n`);
  await world?.close();
}, 60_000);

it.each(scenarios)(
  "ends in time and leaves nothing: $name",
  async (scenario) => {
    const { outcome, tookMs } = await cancelIn(world, scenario);
    took.push(`${String(tookMs).padStart(6)} ms  ${outcome}  ${scenario.name}`);
    expect(outcome).toBe(scenario.outcome ?? "cancelled");
    expect(tookMs).toBeLessThan(withinMs);
  },
  90_000,
);
