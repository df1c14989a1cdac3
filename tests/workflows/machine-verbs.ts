/** Guarantees of the verbs that change one machine: what is left of it when they fail, are cancelled, or lose its host. */
import { describe, expect, it } from "vitest";
import { hostLostSignal } from "../../workflows/host-loss.ts";
import { decisions } from "../../workflows/parking.ts";
import { begin, type Harness, type HostName, type Run } from "./harness.ts";
import { newWorld, type World } from "./world.ts";

const machine = (host: (name: HostName) => string) => ({ hostId: host("mac-1"), machineId: "m", machineName: "ci-1", epoch: 1 });
const parked = (run: Run, world: World, step: string) => run.until(() => world.steps.get(step) === "parked", `${step} is parked`);

export function describeMachineVerbs(suite: { readonly harness: Harness }): void {
  const operate = (world: World, action: object, options = {}) =>
    begin(suite.harness, world, "operate", (host) => ({ ...machine(host), action, takesOver: false }), options);
  const adopt = (world: World) =>
    begin(suite.harness, world, "adopt", (host) => ({ ...machine(host), seenId: "m", bundlePath: "/vm/ci-1.pvm" }), { onFault: "fail" });
  const retire = (world: World, options = {}) =>
    begin(suite.harness, world, "retire", (host) => ({ ...machine(host), graceMs: 1000, takesOver: false }), options);

  describe("operate", () => {
    it("acts once and records what came of it", async () => {
      const world = newWorld();
      await (
        await operate(world, { verb: "execute" })
      ).ended;
      expect(world.acted).toEqual(["execute", "record running"]);
      expect(world.settled?.result).toMatchObject({ exitCode: 0, machineId: "m" });
    });

    it("gives back what was reserved and stops the machine again when a start is cancelled", async () => {
      const world = newWorld();
      world.machines.set("m", { host: "mac-1", state: "running", epoch: 1 });
      world.endless.add("mac-1:start");
      const run = await operate(world, { verb: "start" });
      await run.until(() => world.steps.get("start") === "running", "the start runs");
      await run.handle.cancel();
      await run.ended;
      expect(world.acted).toEqual(["release"]);
      expect(world.machines.get("m")?.state).toBe("stopped");
      expect(world.settled?.outcome).toBe("cancelled");
    });

    it("does not repeat what may have happened", async () => {
      const world = newWorld();
      world.troubles.set("restart", { code: "outcome_unknown", times: 9 });
      await (
        await operate(world, { verb: "restart" })
      ).ended;
      expect(world.settled?.fault?.code).toBe("outcome_unknown");
      expect(world.troubles.get("restart")?.times).toBe(8);
    });
  });

  describe("retire", () => {
    it("leaves no machine and no reservation", async () => {
      const world = newWorld();
      world.machines.set("m", { host: "mac-1", state: "running", epoch: 1 });
      world.placed.set("m", "mac-1");
      await (
        await retire(world)
      ).ended;
      expect([...world.machines.keys(), ...world.placed.keys()]).toEqual([]);
      expect([...world.retired]).toEqual(["m"]);
    });

    it("waits for a lost host even when its caller asked to fail, and completes by `skip`", async () => {
      const world = newWorld();
      world.machines.set("m", { host: "mac-1", state: "running", epoch: 1 });
      world.endless.add("mac-1:stop");
      const run = await retire(world, { onFault: "fail" });
      await run.handle.signal(hostLostSignal, run.hosts["mac-1"] ?? "");
      await parked(run, world, "stop");
      await run.handle.executeUpdate(decisions.skip);
      await parked(run, world, "remove");
      await run.handle.executeUpdate(decisions.skip);
      await run.ended;
      expect([...world.retired]).toEqual(["m"]);
      expect(world.settled?.outcome).toBe("done");
    });
  });

  describe("adopt", () => {
    it("takes all back when the record is refused because its project has no room for it", async () => {
      const world = newWorld();
      world.machines.set("m", { host: "mac-1", state: "stopped", epoch: 1 });
      world.troubles.set("record adopted", { code: "quota_exceeded", times: 9 });
      const run = await adopt(world);
      await run.ended;
      expect(world).toMatchObject({ settled: { outcome: "failed", fault: { code: "quota_exceeded" } }, acted: ["unmark"] });
      expect([...world.machines]).toEqual([]);
    });

    it("takes nothing back while nobody knows whether it was recorded", async () => {
      const world = newWorld();
      world.machines.set("m", { host: "mac-1", state: "stopped", epoch: 1 });
      world.troubles.set("record adopted", { code: "internal", times: 2 });
      const run = await adopt(world);
      await run.ended;
      expect(world).toMatchObject({ settled: { outcome: "done" }, acted: [] });
      expect([...world.machines.keys()]).toEqual(["m"]);
    });
  });
}
