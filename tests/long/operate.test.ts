/**
 * What takes long of the faults on the operators' page: a database that stays away for longer than any step tries, and a host that never comes back.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Host, Machine } from "../../cli/wire.ts";
import { onDiskOf, running, sampleIn, settled, simulatorOf } from "../e2e/faults.ts";
import { openStack, ownServers, type TestStack } from "../e2e/stack.ts";
import { openBusyStack } from "../operate/busy.ts";
import { controlSimulator } from "../../parallels/simulator/control.ts";

describe("a PostgreSQL that stays away", () => {
  // Forty seconds outlast the pauses between all tries of a step; five minutes, the token of a host.
  it.each([40_000, 330_000])("for %i ms in the middle of a push, a provisioning and a retire costs none of them", async (awayMs) => {
    const busy = await openBusyStack();
    try {
      const operations = await busy.inTheMiddle("1");
      await busy.database.stop();
      await delay(awayMs);
      await busy.database.start();
      await busy.expectDone(operations, "1");
    } finally {
      await busy.close();
    }
  });
});

describe("a host that dies while it makes a machine", () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await openStack({ ...(await ownServers()), DROVER_HOSTS: "2" });
    await stack.json("push", await sampleIn(stack, "own", "base", 8), "base", "--version", "1");
  }, 180_000);
  afterAll(() => stack?.close(), 60_000);

  it.each(["clone", "start", "address"])(
    "in the step %s costs one more placement: the machine runs on the other host, once",
    async (step) => {
      const hosts = await stack.client.list("/hosts", Host);
      for (const { name } of hosts)
        controlSimulator(simulatorOf(stack, name), { times: { startMs: 20_000, addressMs: 20_000 }, cloneBytesPerSecond: 1e6 });
      const { id } = await stack.json<{ id: string }>(
        "machine",
        "create",
        `died-in-${step}`,
        "--image",
        "base:1",
        "--cpus",
        "1",
        "--memory",
        "512M",
        "--detach",
      );
      const at = await running(stack, id, step, 90_000);
      const first = hosts.find((host) => host.id === at.hostId);
      const pid = stack.stack.pids()[first?.name ?? ""];
      if (!first || !pid) throw new Error("the first host does not run");
      process.kill(pid, "SIGSTOP");
      try {
        expect(await settled(stack, id, 180_000)).toMatchObject({ state: "done" });
      } finally {
        process.kill(pid, "SIGCONT");
      }
      const [machine] = await stack.client.list("/machines", Machine);
      expect(machine).toMatchObject({ epoch: 2, observed: "running" });
      expect(machine?.hostId).not.toBe(first.id);
      // The twin that the first host had made is gone, from its disk too.
      await expect.poll(() => onDiskOf(stack, first.name).then(({ bundles }) => bundles), { timeout: 60_000 }).toEqual([]);
      await stack.json("machine", "delete", `died-in-${step}`, "--force");
    },
  );
});
