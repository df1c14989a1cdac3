/** Draining a host, by the `drover` command, with machines that run there: what waits is waited for, what is to end ends, and the host is as it should be after. */
import { describe, expect, it } from "vitest";
import { pathOf } from "../../../cli/client.ts";
import { Host, Machine, Operation, OperationDetail } from "../../../cli/wire.ts";
import { act, attempt, done, host, machines, provision, prlctl, show, stack, until } from "./world.ts";

const drain = (body: object) => stack.client.send("POST", `${pathOf("hosts", host)}/drain`, Operation, { body });
const seenHost = () => stack.client.get(pathOf("hosts", host), Host);
const detail = (id: string) => stack.client.get(pathOf("operations", id), OperationDetail);
const stateOfStep = async (id: string, name: string) => (await detail(id)).steps.find((step) => step.name === name)?.state;
const running = async () => (await prlctl.list()).filter(({ state }) => state === "running").length;

export const describeDrains = () =>
  describe("a drain", () => {
    it("that is cancelled while it waits ends no machine and opens the host again", async () => {
      await provision({ name: "busy", start: true });
      await provision({ name: "source", start: false });
      await stack.json("machine", "clone", "source", "twin", "--linked");
      const { id } = await drain({ machines: "wait" });
      await until("it waits for the machine", async () => (await stateOfStep(id, "machine: busy")) === "running");
      expect(await seenHost()).toMatchObject({ cordon: "draining", draining: id });
      const { id: hostId } = await seenHost();
      const named = await provision({ name: "late", start: false, hostId }).catch((error: unknown) => error);
      expect((named as { fault: { code: string } }).fault.code).toBe("host_cordoned");
      await stack.json("operation", "cancel", id);
      expect((await done(id)).state).toBe("cancelled");
      expect(await seenHost()).toMatchObject({ cordon: null, draining: null });
      expect((await show("busy")).observed).toBe("running");
    }, 120_000);

    it("is done once the last machine has ended by itself, and leaves the host cordoned", async () => {
      for (const { name, observed } of await stack.client.list("/machines", Machine))
        if (observed === "running" && name !== "busy") await act(name, { verb: "stop", mode: "kill", graceSeconds: 0 });
      const { id } = await drain({ machines: "wait" });
      await until("it waits for the machine", async () => (await stateOfStep(id, "machine: busy")) === "running");
      await act("busy", { verb: "stop", mode: "kill", graceSeconds: 0 });
      const ended = await done(id);
      expect(ended).toMatchObject({ state: "done", result: { host, foreign: expect.any(Number) as number } });
      expect(ended.result?.["left"]).toContain("busy");
      expect((await seenHost()).cordon).toBe("cordoned");
      expect(await attempt("busy", { verb: "start" })).toBe("done");
    }, 120_000);

    it("stops what runs, then retires all, and whoever uncordons the host gives it work again", async () => {
      await stack.json("host", "drain", host, "--machines", "stop");
      expect((await show("busy")).observed).toBe("stopped");
      expect(await running()).toBe(0);
      await stack.json("host", "drain", host, "--machines", "retire");
      for (const name of ["busy", "source", "twin"]) expect(await machines(name)).toEqual([]);
      expect(await seenHost()).toMatchObject({ cordon: "cordoned" });
      await stack.json("host", "uncordon", host);
      const { operation } = await provision({ name: "fresh", start: false });
      expect(operation.state).toBe("done");
    }, 180_000);
  });
