/** What a machine is told to be: the host and the hub agree on what it became, and no state is lost on the way. */
import { describe, expect, it } from "vitest";
import type { OperationDetail } from "../../../cli/wire.ts";
import { controlSimulator } from "../../../parallels/simulator/control.ts";
import { refusalOf } from "../faults.ts";
import { stack, prlctl, simulator, work, act, attempt, show, seen, bootedAt } from "./world.ts";

export const describeStates = () =>
  describe("states", () => {
    it("suspends, resumes, pauses and goes on, as the host sees it", async () => {
      for (const [verb, state] of [
        ["suspend", "suspended"],
        ["resume", "running"],
        ["pause", "paused"],
        ["resume", "running"],
      ] as const) {
        expect((await stack.json<OperationDetail>("machine", verb, "work")).state).toBe("done");
        expect([(await seen(work.id))?.state, (await show("work")).observed]).toEqual([state, state]);
      }
    }, 180_000);

    it("answers a state that is reached already with success", async () => {
      expect((await act("work", { verb: "start" })).state).toBe("done");
      expect((await act("work", { verb: "resume" })).state).toBe("done");
      expect((await act("still", { verb: "stop", mode: "graceful", graceSeconds: 5 })).state).toBe("done");
    }, 180_000);

    it("restarts and resets a guest for real", async () => {
      for (const verb of ["restart", "reset"] as const) {
        const before = bootedAt(work.id);
        expect((await stack.json<OperationDetail>("machine", verb, "work")).state).toBe("done");
        expect(bootedAt(work.id)).toBeGreaterThan(before);
        expect((await seen(work.id))?.state).toBe("running");
      }
    }, 180_000);

    it("stops a guest that listens by asking, and one that is paused as well", async () => {
      await stack.json("machine", "stop", "work", "--grace", "30s");
      expect((await seen(work.id))?.state).toBe("stopped");
      await act("work", { verb: "start" });
      await act("work", { verb: "pause" });
      expect((await act("work", { verb: "stop", mode: "graceful", graceSeconds: 30 })).state).toBe("done");
      expect(await show("work")).toMatchObject({ observed: "stopped", desired: "stopped", addresses: [] });
    }, 180_000);

    it("kills a guest that does not listen once its grace is over, and not before", async () => {
      controlSimulator(simulator, { ignoresStop: ["work"] });
      await act("work", { verb: "start" });
      const begun = performance.now();
      const { state } = await act("work", { verb: "stop", mode: "graceful", graceSeconds: 2 });
      expect([state, (await seen(work.id))?.state]).toEqual(["done", "stopped"]);
      expect(performance.now() - begun).toBeGreaterThan(2_000);
      await act("work", { verb: "start" });
      await stack.json("machine", "stop", "work", "--force");
      expect((await seen(work.id))?.state).toBe("stopped");
      controlSimulator(simulator, { ignoresStop: false });
    }, 180_000);

    it("keeps the memory of a suspended machine unless told to drop it", async () => {
      await act("work", { verb: "start" });
      await act("work", { verb: "suspend" });
      expect(await refusalOf(stack, "machine", "stop", "work", "--grace", "5s")).toMatchObject({ code: "machine_state" });
      expect((await seen(work.id))?.state).toBe("suspended");
      await stack.json("machine", "stop", "work", "--drop-state");
      expect((await seen(work.id))?.state).toBe("stopped");
    }, 180_000);

    it("refuses early what the state forbids, and names it", async () => {
      const refused = await refusalOf(stack, "machine", "suspend", "still");
      expect(refused).toMatchObject({ code: "machine_state", message: expect.stringMatching(/still .*stopped/) });
    }, 180_000);

    it("refuses on the host what the hub could not know, and takes nothing away from the machine", async () => {
      await act("still", { verb: "start" });
      await prlctl.suspend((await show("still")).id);
      const outcome = await attempt("still", { verb: "start" });
      expect(outcome).toBe("machine_state");
      expect((await seen((await show("still")).id))?.state).toBe("suspended");
      await act("still", { verb: "stop", mode: "drop-state", graceSeconds: 0 });
    }, 180_000);
  });
