/** A cancelled operation ends within 5 s and leaves nothing, in every step of every verb. Prints how long each took. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { pathOf } from "../../cli/client.ts";
import { OperationDetail } from "../../cli/wire.ts";
import { cancelIn, openWorld, scenarios, type World } from "../holds/cancelling.ts";
import { pushFromOwn } from "../holds/own-push.ts";

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

it("ends a push whose command was killed a minute after nobody polls for it, and says so", async () => {
  try {
    const { operationId, kill, ended } = await pushFromOwn(world, "gone");
    kill("SIGKILL");
    await ended;
    const killed = performance.now();
    const wait = () => world.stack.client.get(pathOf("operations", operationId, "wait"), OperationDetail, { query: { timeout: 60 } });
    let detail = await wait();
    while (detail.endedAt === null && performance.now() - killed < 180_000) detail = await wait();
    expect(detail).toMatchObject({ state: "failed", fault: { code: "caller_gone" } });
  } finally {
    world.way.mend();
  }
});
