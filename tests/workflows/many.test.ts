/** A batch of machines: what goes well is recorded per host, everything else is handed over, whichever way the batch ends. */
import { describe, expect, it } from "vitest";
import { begin } from "./harness.ts";
import { suiteHarness } from "./suite.ts";
import { newWorld, type World } from "./world.ts";

const suite = suiteHarness();
const sorted = (acts: readonly string[]) => acts.toSorted((a, b) => a.localeCompare(b));
const batch = (world: World) => begin(suite.harness, world, "provisionMany", () => ({}));

describe("a batch of machines", () => {
  it("records what every host made, and hands over what found no room and nothing else", async () => {
    const world = newWorld();
    const run = await batch(world);
    expect(await run.handle.result()).toEqual({ made: 3 });
    expect(sorted(world.acted.slice(0, -1))).toEqual(["hand over ci-4", "record ci-1", "record ci-2", "record ci-3"]);
    expect(world.acted.at(-1)).toBe("hand over the rest");
  });

  it("hands over one that met a fault while another host still works, and all of a host that failed", async () => {
    const world = newWorld();
    world.refusals.set("ci-2", { code: "prlctl_failed", message: "It came to nothing." });
    world.endless.add("mac-2:make many on mac-2");
    const run = await batch(world);
    await run.until(() => world.acted.includes("hand over ci-2"), "the first host has ended");
    expect(sorted(world.acted)).toEqual(["hand over ci-2", "hand over ci-4", "record ci-1"]);
    await run.handle.cancel();
    await run.ended;
    expect(world.acted.at(-1)).toBe("hand over the rest");
    expect(world.acted).not.toContain("record ci-3");

    const failing = newWorld();
    failing.troubles.set("make many on mac-1", { code: "argument_refused", times: 99 });
    await (
      await batch(failing)
    ).ended;
    expect(failing.acted).toEqual(expect.arrayContaining(["hand over ci-1 ci-2", "record ci-3"]));
  });

  it("hands over all when they may not be placed", async () => {
    const world = newWorld();
    world.troubles.set("place many", { code: "image_revoked", times: 99 });
    await (
      await batch(world)
    ).ended;
    expect(world.acted).toEqual(["hand over the rest"]);
  });
});

describe("a machine that fell out of its batch", () => {
  it("takes back what the batch made of it, however early it is cancelled", async () => {
    const world = newWorld();
    world.machines.set("m", { host: "mac-1", state: "running", epoch: 1 });
    world.placed.set("m", "mac-1");
    world.endless.add("mac-1:make room");
    const run = await begin(suite.harness, world, "provision", (host) => ({
      machineId: "m",
      standing: { hostId: host("mac-1"), epoch: 1 },
    }));
    await run.handle.cancel();
    await run.ended;
    expect(world.settled?.outcome).toBe("cancelled");
    expect([[...world.machines], [...world.placed], [...world.forgotten]]).toEqual([[], [], ["m"]]);
  });
});
