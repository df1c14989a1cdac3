/** A machine for which no host has room: it waits until it is told, no longer than it may, and leaves nothing when it gives up. */
import { describe, expect, it } from "vitest";
import { roomSignal } from "../../workflows/machines/provision.ts";
import { begin, type Run } from "./harness.ts";
import { suiteHarness } from "./suite.ts";
import { newWorld, type World } from "./world.ts";

const suite = suiteHarness();
const provision = (world: World, waitMs: number) => begin(suite.harness, world, "provision", () => ({ machineId: "m", waitMs }));
const waits = (run: Run, world: World, times = 1) =>
  run.until(() => world.acted.filter((act) => act === "await room").length === times, "it waits for room");
const crowded = (times: number): World => {
  const world = newWorld();
  world.troubles.set("place", { code: "no_capacity", times });
  return world;
};

describe("a machine that finds no room", () => {
  it("is placed once it is told of room, and waits on where another was quicker", async () => {
    const world = crowded(2);
    const run = await provision(world, 3_600_000);
    for (const times of [1, 2]) {
      await waits(run, world, times);
      expect(world.steps.get("place")).toBe("running");
      await run.handle.signal(roomSignal);
    }
    await run.ended;
    expect(world.settled?.outcome).toBe("done");
    expect([...world.forgotten]).toEqual([]);
  });

  it("fails with what every host lacks when its time is over, though nobody tells it anything", async () => {
    const world = crowded(99);
    await (
      await provision(world, 300)
    ).ended;
    expect(world.settled).toMatchObject({ outcome: "failed", fault: { code: "no_capacity" } });
    expect([...world.forgotten]).toEqual(["m"]);
  });

  it("ends at once when it is cancelled, and its name is free again", async () => {
    const world = crowded(99);
    const run = await provision(world, 3_600_000);
    await waits(run, world);
    await run.handle.cancel();
    await run.ended;
    expect(world.settled?.outcome).toBe("cancelled");
    expect([...world.forgotten]).toEqual(["m"]);
  });
});
