/** Drains: what waits is waited for until its time is over, what a person leaves out stays, and a cancel is a cancel. */
import { describe, expect, it } from "vitest";
import { decisions } from "../../workflows/parking.ts";
import { begin } from "./harness.ts";
import { suiteHarness } from "./suite.ts";
import { newWorld, type World } from "./world.ts";

const suite = suiteHarness();
const step = "machine: ci-1";
const occupied = (): World => {
  const world = newWorld();
  world.machines.set("m", { host: "mac-1", state: "running", epoch: 1 });
  return world;
};
const drain = (world: World, limitMs: number, onFault: "park" | "fail" = "park") =>
  begin(suite.harness, world, "drain", (host) => ({ hostId: host("mac-1"), machines: "wait", limitMs }), { onFault });

describe("drain", () => {
  it("waits for an operator when machines have not ended in time, and leaves where it is what the operator leaves out", async () => {
    const world = occupied();
    world.endless.add(`mac-1:${step}`);
    const run = await drain(world, 200);
    await run.until(() => world.steps.get(step) === "parked", "the drain waits for an operator");
    await run.handle.executeUpdate(decisions.skip);
    await run.ended;
    expect(world.settled).toMatchObject({ outcome: "done", result: { host: "mac-1", left: ["m"] } });
    expect([...world.steps]).toEqual([
      ["cordon", "done"],
      [step, "skipped"],
      ["look", "done"],
    ]);
  });

  it("fails when machines have not ended in time where nobody is waited for", async () => {
    const world = occupied();
    world.endless.add(`mac-1:${step}`);
    await (
      await drain(world, 200, "fail")
    ).ended;
    expect(world.settled).toMatchObject({ outcome: "failed", fault: { code: "drain_overdue" } });
  });

  it("is cancelled while it waits, and ends no machine then", async () => {
    const world = occupied();
    world.endless.add(`mac-1:${step}`);
    const run = await drain(world, 3_600_000);
    await run.until(() => world.steps.get(step) === "running", "the drain waits");
    await run.handle.cancel();
    await run.ended;
    expect(world.settled?.outcome).toBe("cancelled");
    expect(world.machines.size).toBe(1);
  });
});
