/** The machines of a batch on one host: each is made for itself, one that hangs keeps nobody waiting, and one that is taken back is no longer worked on. */
import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { controlSimulator } from "../../parallels/simulator/control.ts";
import type { HostBatchActivities } from "../../workflows/machines/provision-many.ts";
import { bundlesIn, freshHost, openHome, placementOf, simulatorIn, type TestHost } from "./host.ts";
import { hanging } from "./victims.ts";

type Asked = Parameters<HostBatchActivities["createMachines"]>[0];

let home = "";
let host: TestHost;
beforeAll(async () => {
  home = await openHome("small");
}, 180_000);
afterAll(() => rm(home, { recursive: true, force: true }));
beforeEach(() => {
  host = freshHost(home);
});

// A command that was killed leaves the note that it hangs.
afterEach(() => rm(join(simulatorIn(home), "hanging"), { recursive: true, force: true }));

/** Three machines, of which the second hangs while it is configured. */
function batch(): { asked: Asked; names: string[]; slow: Asked["machines"][number] } {
  const names = [1, 2, 3].map((number) => `${randomUUID().slice(0, 8)}-${number}`);
  const machines = names.map((name) => ({ operationId: randomUUID(), machineId: randomUUID(), name, description: "", epoch: 1 }));
  const [, slow] = machines;
  if (!slow) throw new Error("There are three.");
  const { hostId, hubId, vcpus, memoryBytes, start, probe, wanted } = placementOf("", "", "small", 1);
  const shared = { hubId, vcpus, memoryBytes, start, probe, wanted, cached: true };
  controlSimulator(simulatorIn(home), { faults: [{ verb: "set", machine: slow.machineId, kind: "hang" }] });
  return { asked: { batch: randomUUID(), hostId, shared, machines }, names, slow };
}
const bundlesOf = (names: readonly string[]) => names.map((name) => `${name}.pvm`).toSorted((a, b) => a.localeCompare(b));
const remove = (one: Asked["machines"][number]) => {
  const { operationId, machineId, epoch } = one;
  return host.run(({ removeMachine }) => removeMachine({ operationId, machineId, epoch }));
};

describe("machines of a batch", () => {
  it("are told when they are made, without one that hangs, which goes on alone where it stands", async () => {
    const { asked, names, slow } = batch();
    const { made } = await host.run(({ createMachines }) => createMachines(asked));
    const others = asked.machines.filter((one) => one !== slow);
    expect(new Set(made.map(({ operationId }) => operationId))).toEqual(new Set(others.map(({ operationId }) => operationId)));
    controlSimulator(simulatorIn(home), { faults: [] });
    const { operationId, ...own } = slow;
    const placement = { ...asked.shared, ...own, hostId: asked.hostId };
    const { bundlePath } = await host.run(({ createMachine }) => createMachine({ operationId, placement, skip: [] }));
    expect(bundlePath).toContain(slow.name);
    expect(await bundlesIn(home)).toEqual(bundlesOf(names));
    for (const one of asked.machines) await remove(one);
    expect(await bundlesIn(home)).toEqual([]);
  }, 180_000);

  it("lose one that is taken back while it is made, and nothing else", async () => {
    const { asked, names, slow } = batch();
    const making = host.run(({ createMachines }) => createMachines(asked));
    await expect.poll(() => hanging(home), { timeout: 60_000 }).toHaveLength(1);
    controlSimulator(simulatorIn(home), { faults: [] });
    await remove(slow);
    const { made } = await making;
    expect(made).toHaveLength(2);
    expect(await bundlesIn(home)).toEqual(bundlesOf(names.filter((name) => name !== slow.name)));
    for (const one of asked.machines) await remove(one);
  }, 180_000);
});
