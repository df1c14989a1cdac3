/** Guarantees of cancelling in workflows: the point of no return, undo on a lost host, and what hurries an end. */
import { describe, expect, it } from "vitest";
import { giveUpSignal, hostBackSignal, hostLostSignal } from "../../workflows/host-loss.ts";
import { hurrySignal } from "../../workflows/machines/retire.ts";
import { begin, type HostName, type Run } from "../workflows/harness.ts";
import { suiteHarness } from "../workflows/suite.ts";
import { digest, newWorld, type World } from "../workflows/world.ts";

const suite = suiteHarness();

const machine = (host: (name: HostName) => string) => ({ hostId: host("mac-1"), machineId: "m", machineName: "ci-1", epoch: 1 });
const begins = {
  push: (world: World) => begin(suite.harness, world, "push", (host) => ({ hostId: host("mac-1"), path: "/vm/base.pvm" })),
  pull: (world: World) => begin(suite.harness, world, "pull", (host) => ({ hostId: host("mac-1") })),
  provision: (world: World) => begin(suite.harness, world, "provision", () => ({ machineId: "m" })),
  retire: (world: World) =>
    begin(suite.harness, world, "retire", (host) => ({ ...machine(host), graceMs: 60_000, takesOver: false }), { onFault: "fail" }),
  operate: (world: World, verb = "start") =>
    begin(suite.harness, world, "operate", (host) => ({ ...machine(host), action: { verb, name: "s" }, takesOver: false })),
};
const standing = () => {
  const world = newWorld();
  world.machines.set("m", { host: "mac-1", state: "running", epoch: 1 });
  world.placed.set("m", "mac-1");
  return world;
};
const running = (run: Run, world: World, step: string) => run.until(() => world.steps.get(step) === "running", `${step} runs`);
const lost = (run: Run) => run.handle.signal(hostLostSignal, run.hosts["mac-1"]);
/** Longer than a settlement takes that does not wait for anything. */
const settlesAtOnce = (run: Run) => Promise.race([run.ended.then(() => true), new Promise((resolve) => setTimeout(resolve, 700, false))]);

describe("past the point of no return", () => {
  it.each([
    { verb: "push", step: "publish", stands: (world: World) => world.published.length },
    { verb: "provision", step: "record", stands: (world: World) => world.machines.size },
  ] as const)("a cancelled $verb ends as done, because what it made stands", async ({ verb, step, stands }) => {
    const world = newWorld();
    // Between its attempts the record waits: time to cancel.
    world.troubles.set(step, { code: "hub_unavailable", times: 3 });
    const run = await begins[verb](world);
    await run.until(() => (world.troubles.get(step)?.times ?? 3) < 3, `${step} was tried`);
    await run.handle.cancel();
    await run.ended;
    expect([world.settled?.outcome, stands(world)]).toEqual(["done", 1]);
  });

  it("a cancelled retire ends as done once it has begun to remove", async () => {
    const world = standing();
    world.endless.add("mac-1:remove");
    const run = await begins.retire(world);
    await running(run, world, "remove");
    world.endless.clear();
    await run.handle.cancel();
    await run.ended;
    expect([...world.machines.keys(), ...world.placed.keys()]).toEqual([]);
    expect([world.settled?.outcome, [...world.retired]]).toEqual(["done", ["m"]]);
  });

  it("and before it a cancelled retire leaves the machine", async () => {
    const world = standing();
    world.endless.add("mac-1:stop");
    const run = await begins.retire(world);
    await running(run, world, "stop");
    await run.handle.cancel();
    await run.ended;
    expect(world.settled?.outcome).toBe("cancelled");
    expect([world.machines.has("m"), world.placed.has("m"), world.retired.size]).toEqual([true, true, 0]);
  });
});

describe("a cancelled operation whose host is lost", () => {
  it("settles when the host is back, and has left nothing there", async () => {
    const world = newWorld();
    world.endless.add("mac-1:fetch");
    const run = await begins.pull(world);
    await run.until(() => world.incoming.has(digest), "the transfer runs");
    await lost(run);
    await run.until(() => world.steps.get("fetch") === "parked", "fetch waits for the host");
    await run.handle.cancel();
    expect(await settlesAtOnce(run)).toBe(false);
    await run.handle.signal(hostBackSignal, run.hosts["mac-1"]);
    await run.ended;
    expect([world.settled?.outcome, world.incoming.size]).toEqual(["cancelled", 0]);
  });

  it("settles without, and never touches the host again, once it is given up", async () => {
    const world = standing();
    world.endless.add("mac-1:start");
    const run = await begins.operate(world);
    await running(run, world, "start");
    await lost(run);
    await run.handle.cancel();
    expect(await settlesAtOnce(run)).toBe(false);
    await run.handle.signal(giveUpSignal);
    await run.ended;
    expect([world.settled?.outcome, world.machines.get("m")?.state]).toEqual(["cancelled", "running"]);
  });

  it("is not waited for by one that fails, whose caller wants the answer", async () => {
    const world = standing();
    world.endless.add("mac-1:start");
    const run = await begin(
      suite.harness,
      world,
      "operate",
      (host) => ({ ...machine(host), action: { verb: "start" }, takesOver: false }),
      {
        onFault: "fail",
      },
    );
    await running(run, world, "start");
    await lost(run);
    await run.ended;
    expect(world.settled).toMatchObject({ outcome: "failed", fault: { code: "host_lost" } });
  });
});

describe("an end that is asked for again with force", () => {
  it("gives the guest no more time", async () => {
    const world = standing();
    world.endless.add("mac-1:stop");
    const run = await begins.retire(world);
    await running(run, world, "stop");
    world.endless.clear();
    await run.handle.signal(hurrySignal);
    await run.ended;
    expect([world.settled?.outcome, [...world.retired]]).toEqual(["done", ["m"]]);
  });
});

it("a cancelled snapshot is taken back", async () => {
  const world = standing();
  world.endless.add("mac-1:snapshot-create");
  const run = await begins.operate(world, "snapshot-create");
  await running(run, world, "snapshot-create");
  await run.handle.cancel();
  await run.ended;
  expect([world.settled?.outcome, world.acted.includes("drop snapshot")]).toEqual(["cancelled", true]);
});
