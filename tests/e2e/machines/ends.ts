/** How machines end: on time, for good, and also when they are gone already. */
import { cp, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { stack, prlctl, provision, attempt, show, machines, seen, retire, until } from "./world.ts";

export const describeEnds = () =>
  describe("the end of machines", () => {
    it("comes by itself when their time is over", async () => {
      const { machine } = await provision({ name: "brief", start: false, ttlSeconds: 3600 });
      await stack.json("machine", "expire", "brief", "1s");
      await until("the machine is retired", async () => (await machines("brief")).length === 0, 15_000);
      expect(await seen(machine.id)).toBeNull();
    }, 180_000);

    it("can still be recorded for a machine that was deleted on its host, which the hub learns within 15 s", async () => {
      const { machine } = await provision({ name: "lost", start: true });
      await prlctl.stop(machine.id, { mode: "kill" });
      await prlctl.remove(machine.id);
      await until("the machine is absent", async () => (await show("lost")).observed === "absent", 15_000);
      expect(await attempt("lost", { verb: "start" })).toBe("machine_lost");
      await stack.json("machine", "delete", "lost");
      expect(await machines("lost")).toEqual([]);
    }, 45_000);

    it("is final: what comes back of a retired machine is removed by the host's next reports", async () => {
      const { machine } = await provision({ name: "ghost", start: false });
      const { bundlePath } = await show("ghost");
      const kept = join(stack.home, "kept.pvm");
      await cp(bundlePath ?? "", kept, { recursive: true });
      await retire("ghost");
      await rename(kept, bundlePath ?? "");
      await prlctl.register(bundlePath ?? "", { uuid: machine.id });
      await until("the machine is removed again", async () => (await seen(machine.id)) === null, 15_000);
      await until("its bundle is gone", async () => (await stat(bundlePath ?? "").catch(() => null)) === null);
    }, 45_000);
  });
