/** Many machines by one request, on a host that has the image, with a cancel and a dead hub worker in between. */
import { describe, expect, it } from "vitest";
import { pathOf } from "../../../cli/client.ts";
import { ManyProvisionings, Operation, type OperationDetail } from "../../../cli/wire.ts";
import { isSettled } from "../../../domain/operations/rules.ts";
import { operation, running } from "../faults.ts";
import { done, machines, retire, seen, show, small, stack, until } from "./world.ts";

export const describeMany = () =>
  describe("many machines by one request", () => {
    it("all run, but for one that is cancelled, although the hub worker is killed meanwhile; and nothing else is left", async () => {
      const body = { ...small, image: { catalogId: "base", version: "1" }, name: "herd", count: 6 };
      const key = crypto.randomUUID();
      const accepted = await stack.client.send("POST", "/machines", ManyProvisionings, { body, key });
      const again = await stack.client.send("POST", "/machines", ManyProvisionings, { body, key });
      const ids = accepted.items.map((item) => item.operation.id);
      expect(again.items.map((item) => item.operation.id)).toEqual(ids);
      expect(accepted.items.map(({ machine }) => machine.name)).toEqual([1, 2, 3, 4, 5, 6].map((number) => `herd-${number}`));

      const third = accepted.items[2];
      if (!third) throw new Error("Fewer were accepted than asked for.");
      await running(stack, third.operation.id, "start");
      process.kill(stack.stack.pids()["hub"] ?? 0, "SIGKILL");
      await stack.client.send("POST", `${pathOf("operations", third.operation.id)}/cancel`, Operation, {});
      const ended = await Promise.all(
        ids.map((id) =>
          until(`operation ${id} ended`, async () => {
            const detail = await operation(stack, id);
            return isSettled(detail.state) ? detail : null;
          }),
        ),
      );
      const states = (one: OperationDetail) => `${one.subject} ${one.state}`;
      expect(ended.map(states)).toEqual(
        accepted.items.map(({ machine: { name } }) => `${name} ${name === "herd-3" ? "cancelled" : "done"}`),
      );
      expect(await machines("herd-3")).toEqual([]);
      await until("the cancelled machine is gone", async () => (await seen(third.machine.id)) === null);
      for (const { machine } of accepted.items) {
        if (machine.id === third.machine.id) continue;
        const [row, found] = [await show(machine.id), await seen(machine.id)];
        expect([row.observed, found?.state, row.addresses.length]).toEqual(["running", "running", 1]);
      }
      for (const { machine } of accepted.items) {
        if (machine.id === third.machine.id) continue;
        const { id } = await stack.client.send("DELETE", pathOf("machines", machine.id), Operation, { query: { force: true } });
        expect((await done(id)).state).toBe("done");
      }
    }, 180_000);

    it("are waited for by one command", async () => {
      const words = ["--image", "base:1", "--cpus", "1", "--memory", "512M", "--count", "2"];
      const { items } = await stack.json<{ items: { machine: { id: string; name: string; observed: string } }[] }>(
        "machine",
        "create",
        "pair",
        ...words,
      );
      expect(items.map(({ machine: { name, observed } }) => `${name} ${observed}`)).toEqual(["pair-1 running", "pair-2 running"]);
      for (const { machine } of items) await retire(machine.id);
    }, 180_000);
  });
