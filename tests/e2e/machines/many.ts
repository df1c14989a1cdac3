/** Many machines by one request, on a host that has the image, with a cancel and a dead hub worker in between. */
import { describe, expect, it } from "vitest";
import { pathOf } from "../../../cli/client.ts";
import { ManyProvisionings, Operation } from "../../../cli/wire.ts";
import { isSettled } from "../../../domain/operations/rules.ts";
import { operation, running } from "../faults.ts";
import { machines, seen, show, small, stack, until } from "./world.ts";

const endOf = (id: string) =>
  until(`operation ${id} ended`, async () => {
    const { state } = await operation(stack, id);
    return isSettled(state) && state;
  });

async function retired(id: string): Promise<string> {
  const begun = await stack.client.send("DELETE", pathOf("machines", id), Operation, { query: { force: true } });
  return endOf(begun.id);
}

export const describeMany = () =>
  describe("many machines by one request", () => {
    it("all run, but for one that is cancelled and one that is retired, although the hub worker is killed meanwhile", async () => {
      const body = { ...small, image: { catalogId: "base", version: "1" }, name: "herd", count: 6 };
      const key = crypto.randomUUID();
      const accepted = await stack.client.send("POST", "/machines", ManyProvisionings, { body, key });
      const again = await stack.client.send("POST", "/machines", ManyProvisionings, { body, key });
      const ids = accepted.items.map((item) => item.operation.id);
      expect(again.items.map((item) => item.operation.id)).toEqual(ids);
      expect(accepted.items.map(({ machine }) => machine.name)).toEqual([1, 2, 3, 4, 5, 6].map((number) => `herd-${number}`));

      const [, , third, , fifth] = accepted.items;
      if (!third || !fifth) throw new Error("Fewer were accepted than asked for.");
      await running(stack, third.operation.id, "start");
      process.kill(stack.stack.pids()["hub"] ?? 0, "SIGKILL");
      await stack.client.send("POST", `${pathOf("operations", third.operation.id)}/cancel`, Operation, {});
      expect(await retired(fifth.machine.id)).toBe("done");
      const others = accepted.items.filter((item) => item !== third && item !== fifth);
      expect(await endOf(third.operation.id)).toBe("cancelled");
      // The batch may have been quicker than who took it over.
      expect(["cancelled", "done"]).toContain(await endOf(fifth.operation.id));
      for (const { operation, machine } of others) {
        expect(await endOf(operation.id)).toBe("done");
        const [row, found] = [await show(machine.id), await seen(machine.id)];
        expect([row.observed, found?.state, row.addresses.length]).toEqual(["running", "running", 1]);
      }
      for (const { machine } of [third, fifth]) {
        expect(await machines(machine.name)).toEqual([]);
        await until(`${machine.name} is gone`, async () => (await seen(machine.id)) === null);
      }
      for (const { machine } of others) expect(await retired(machine.id)).toBe("done");
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
      for (const { machine } of items) expect(await retired(machine.id)).toBe("done");
    }, 180_000);
  });
