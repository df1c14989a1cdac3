/** Guarantees of machines from, and pushes to, catalogs behind catalog managers: what comes before what, and whose fault is told. */
import { describe, expect, it } from "vitest";
import { begin } from "./harness.ts";
import { suiteHarness } from "./suite.ts";
import { newWorld, type World } from "./world.ts";

const suite = suiteHarness();

describe("a catalog behind a manager", () => {
  const begun = (world: World, verb: "import" | "export", input: object) =>
    begin(suite.harness, world, verb, () => ({ ...input }), { onFault: "fail" });
  const bring = (world: World) => begun(world, "import", { hostId: null, through: { copies: true } });
  const send = (world: World) => begun(world, "export", { through: true });

  it("is copied from before anything is recorded, and gives a machine last", async () => {
    const world = newWorld();
    await (
      await bring(world)
    ).ended;
    expect([...world.steps.keys()]).toEqual(["copy archive", "read manifest", "record", "make machine"]);
    expect(world).toMatchObject({
      acted: ["copied", "machine made"],
      settled: { outcome: "done", result: { machineId: "m", madeBy: "o" } },
    });
  });

  it("fails with the fault of the machine's own operation, and of no other", async () => {
    const world = newWorld();
    world.refusals.set("make machine", { code: "no_capacity", message: "No host has room." });
    await (
      await bring(world)
    ).ended;
    expect(world.settled).toMatchObject({ outcome: "failed", fault: { code: "no_capacity", message: "No host has room." } });
  });

  it("hears of a version only once its archive is written", async () => {
    const world = newWorld();
    world.troubles.set("register", { code: "remote_unreachable", times: 2 });
    await (
      await send(world)
    ).ended;
    expect([...world.steps.keys()]).toEqual(["push bundle", "authorise", "write archive", "register", "record"]);
    expect(world).toMatchObject({ acted: ["pushed", "registered", "record exported"], settled: { outcome: "done" } });
  });

  it("hears of nothing when the bundle is refused here", async () => {
    const world = newWorld();
    world.refusals.set("push bundle", { code: "bundle_refused", message: "It runs." });
    await (
      await send(world)
    ).ended;
    expect(world).toMatchObject({ acted: ["pushed"], settled: { outcome: "failed", fault: { code: "bundle_refused" } } });
  });
});
