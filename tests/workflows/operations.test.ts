/** Guarantees of the frame and of the verbs, on a real Temporal server: what is left when a step fails, parks, is cancelled, or loses its host. */
import { describe, expect, it } from "vitest";
import { hostBackSignal, hostLostSignal } from "../../workflows/host-loss.ts";
import { decisions } from "../../workflows/parking.ts";
import { begin, type Run } from "./harness.ts";
import { describeMachineVerbs } from "./machine-verbs.ts";
import { suiteHarness } from "./suite.ts";
import { digest, newWorld, type World } from "./world.ts";

const suite = suiteHarness();

const push = (world: World, options = {}) =>
  begin(suite.harness, world, "push", (host) => ({ hostId: host("mac-1"), path: "/vm/base.pvm" }), options);
const pull = (world: World, options = {}) => begin(suite.harness, world, "pull", (host) => ({ hostId: host("mac-1") }), options);
const provision = (world: World, options = {}) => begin(suite.harness, world, "provision", () => ({ machineId: "m" }), options);
const parked = (run: Run, world: World, step: string) => run.until(() => world.steps.get(step) === "parked", `${step} is parked`);

describe("push", () => {
  it("publishes once everything is checked, and tells every step", async () => {
    const world = newWorld();
    await (
      await push(world)
    ).ended;
    expect(world).toMatchObject({ published: ["1.0"], settled: { outcome: "done", result: { newBytes: 500, image: "sonoma/1.0/arm64" } } });
    expect([...world.steps]).toEqual(
      ["check request", "inspect bundle", "plan transfer", "upload", "check store", "publish"].map((name) => [name, "done"]),
    );
  });

  it("tries a step again whose fault passes", async () => {
    const world = newWorld();
    world.troubles.set("upload", { code: "prlctl_busy", times: 2 });
    await (
      await push(world)
    ).ended;
    expect(world).toMatchObject({ published: ["1.0"], settled: { outcome: "done" } });
  });

  it("publishes nothing and says why when the bundle is refused", async () => {
    const world = newWorld();
    world.troubles.set("inspect bundle", { code: "bundle_refused", times: 9 });
    await (
      await push(world)
    ).ended;
    expect(world).toMatchObject({ published: [], settled: { outcome: "failed", fault: { code: "bundle_refused" } } });
    expect(world.settled?.fault?.remedy).toContain("stop");
    expect(world.steps.get("inspect bundle")).toBe("failed");
  });

  it("parks when the store denies, and goes on by `retry`", async () => {
    const world = newWorld();
    world.troubles.set("check store", { code: "store_denied", times: 1 });
    const run = await push(world);
    await parked(run, world, "check store");
    // The server tells search attributes a moment after the workflow set them.
    const shown = async () => (await run.handle.describe()).typedSearchAttributes.getAll().some(({ value }) => value === "store_denied");
    await run.until(shown, "the web UI can find the parked operation");
    await run.handle.executeUpdate(decisions.retry);
    await run.ended;
    expect(world).toMatchObject({ published: ["1.0"], settled: { outcome: "done" } });
  });

  it("forgets how far its upload came when it is cancelled in the middle of it", async () => {
    const world = newWorld();
    world.endless.add("mac-1:upload");
    const run = await push(world);
    await run.until(() => world.journals.size > 0, "the upload runs");
    await run.handle.cancel();
    await run.ended;
    expect([...world.journals]).toEqual([]);
    expect(world).toMatchObject({ published: [], settled: { outcome: "cancelled" } });
  });

  it("fails at once instead of parking when its caller cannot know of parking", async () => {
    const world = newWorld();
    world.troubles.set("check store", { code: "store_denied", times: 9 });
    await (
      await push(world, { onFault: "fail" })
    ).ended;
    expect(world).toMatchObject({ published: [], settled: { outcome: "failed", fault: { code: "store_denied" } } });
  });

  it("refuses to skip a step that cannot be left out, and aborts by `abort`", async () => {
    const world = newWorld();
    world.troubles.set("check store", { code: "store_denied", times: 9 });
    const run = await push(world);
    await parked(run, world, "check store");
    await expect(run.handle.executeUpdate(decisions.skip)).rejects.toThrow();
    await run.handle.executeUpdate(decisions.abort);
    await run.ended;
    expect(world).toMatchObject({ published: [], settled: { outcome: "failed", fault: { code: "operation_aborted" } } });
  });

  it("aborts by itself when nobody mends it within the park limit", async () => {
    const world = newWorld();
    world.troubles.set("check store", { code: "store_denied", times: 9 });
    await (
      await push(world, { parkLimitMs: 300 })
    ).ended;
    expect(world.settled).toMatchObject({ outcome: "failed", fault: { code: "operation_aborted" } });
  });
});

describe("pull", () => {
  it("shows the image in the cache only at its end", async () => {
    const world = newWorld();
    await (
      await pull(world)
    ).ended;
    expect([...world.cached]).toEqual([digest]);
    expect(world).toMatchObject({ settled: { outcome: "done", result: { fetchedBytes: 500 } } });
  });

  it("leaves nothing in the cache when it is cancelled in the middle of its transfer", async () => {
    const world = newWorld();
    world.endless.add("mac-1:fetch");
    const run = await pull(world);
    await run.until(() => world.incoming.has(digest), "the transfer runs");
    await run.handle.cancel();
    await run.ended;
    expect([...world.cached, ...world.incoming]).toEqual([]);
    expect(world).toMatchObject({ settled: { outcome: "cancelled" } });
    expect(world.steps.get("fetch")).toBe("cancelled");
  });

  it("leaves nothing in the cache when the image turns out to be corrupt", async () => {
    const world = newWorld();
    world.troubles.set("verify", { code: "content_corrupt", times: 9 });
    await (
      await pull(world)
    ).ended;
    expect([...world.cached, ...world.incoming]).toEqual([]);
    expect(world.settled).toMatchObject({ outcome: "failed", fault: { code: "content_corrupt" } });
  });

  it("waits for a lost host and goes on when it is back", async () => {
    const world = newWorld();
    world.endless.add("mac-1:fetch");
    const run = await pull(world);
    await run.until(() => world.incoming.has(digest), "the transfer runs");
    await run.handle.signal(hostLostSignal, run.hosts["mac-1"] ?? "");
    await parked(run, world, "fetch");
    world.endless.clear();
    await run.handle.signal(hostBackSignal, run.hosts["mac-1"] ?? "");
    await run.ended;
    expect([...world.cached]).toEqual([digest]);
    expect(world.settled?.outcome).toBe("done");
  });
});

describe("provision", () => {
  it("ends with a running machine on the host that was chosen", async () => {
    const world = newWorld();
    const run = await provision(world);
    await run.ended;
    expect(world.machines.get("m")).toMatchObject({ host: "mac-1", state: "running" });
    expect(world.settled).toMatchObject({
      outcome: "done",
      result: { machineId: "m", hostId: run.hosts["mac-1"], addresses: ["10.211.55.3"] },
    });
  });

  it.each([
    ["in one turn of its host where the image is cached", true, []],
    ["with what the host fetches where the hub was wrong about its cache", false, ["fetch", "verify", "show in cache"]],
  ])("makes it %s", async (_, isCached, fetched) => {
    const world = newWorld();
    world.believesCached = true;
    if (isCached) world.cached.add(digest);
    const run = await provision(world);
    await run.ended;
    expect(world.machines.get("m")).toMatchObject({ host: "mac-1", state: "running" });
    const making = ["clone", "register", "configure", "start", "address", "answers"];
    const steps = ["place", "make room", ...making, ...fetched, "record"];
    expect(world.steps).toEqual(new Map(steps.map((step) => [step, "done"])));
  });

  it("leaves no machine, no reservation and a free name when a later step fails", async () => {
    const world = newWorld();
    world.troubles.set("start", { code: "macos_limit", times: 99 });
    await (
      await provision(world, { onFault: "fail" })
    ).ended;
    expect([...world.machines.keys(), ...world.placed.keys()]).toEqual([]);
    expect([...world.forgotten]).toEqual(["m"]);
    expect(world.settled).toMatchObject({ outcome: "failed", fault: { code: "macos_limit" } });
  });

  it("places once more elsewhere when its host dies, and leaves the first one to the compare loop", async () => {
    const world = newWorld();
    world.endless.add("mac-1:register");
    const run = await provision(world);
    await run.until(() => world.machines.has("m"), "the first host works");
    await run.handle.signal(hostLostSignal, run.hosts["mac-1"] ?? "");
    await run.ended;
    expect(world.machines.get("m")).toMatchObject({ host: "mac-2", state: "running" });
    expect(world.placed.get("m")).toBe(run.hosts["mac-2"]);
    expect(world.settled?.outcome).toBe("done");
  });

  it("waits for its host where the request names it, and goes on when it is back", async () => {
    const world = newWorld();
    world.namesHost = true;
    world.endless.add("mac-1:register");
    const run = await provision(world);
    await run.until(() => world.machines.has("m"), "the host works");
    await run.handle.signal(hostLostSignal, run.hosts["mac-1"] ?? "");
    await parked(run, world, "register");
    world.endless.clear();
    await run.handle.signal(hostBackSignal, run.hosts["mac-1"] ?? "");
    await run.ended;
    expect(world.machines.get("m")).toMatchObject({ host: "mac-1", state: "running" });
    expect(world.settled?.outcome).toBe("done");
  });

  it("parks at the step that the host named, and goes on without it by `skip`", async () => {
    const world = newWorld();
    world.troubles.set("answers", { code: "tools_unavailable", times: 99 });
    const run = await provision(world);
    await parked(run, world, "answers");
    await run.handle.executeUpdate(decisions.skip);
    await run.ended;
    expect(world.steps.get("answers")).toBe("skipped");
    expect(world.settled?.outcome).toBe("done");
  });

  it("fails with what every host lacks when none has room", async () => {
    const world = newWorld();
    world.troubles.set("place", { code: "no_capacity", times: 99 });
    await (
      await provision(world)
    ).ended;
    expect(world).toMatchObject({ settled: { outcome: "failed", fault: { code: "no_capacity" } } });
    expect([...world.forgotten]).toEqual(["m"]);
  });
});

describeMachineVerbs(suite);
