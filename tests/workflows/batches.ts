/** A batch of four as its workflow sees it: two machines on the first host, one on the second, and one without room. */
import type { BatchActivities, BatchedMachine, HostBatchActivities } from "../../workflows/machines/provision-many.ts";
import { meet, stepsOn, wanted, type Endless, type World } from "./world.ts";

const machine = (number: number): BatchedMachine => {
  const name = `ci-${number}`;
  return { operationId: name, machineId: `m-${number}`, name, description: "", epoch: 1 };
};

export function batchesOfHub(world: World, hosts: readonly string[]): BatchActivities {
  return {
    placeMany: async () => {
      meet(world, "place many");
      const [first = "", second = ""] = hosts;
      const shared = { hubId: "h", vcpus: 2, memoryBytes: 2 ** 30, start: true, probe: { kind: "tools" }, wanted, cached: true } as const;
      const placed = [
        { hostId: first, machines: [machine(1), machine(2)] },
        { hostId: second, machines: [machine(3)] },
      ];
      return { shared, hosts: placed, left: ["ci-4"] };
    },
    recordMany: async ({ made }) => void world.acted.push(...made.map(({ operationId }) => `record ${operationId}`)),
    handOver: async ({ operationIds }) => void world.acted.push(`hand over ${operationIds?.join(" ") ?? "the rest"}`),
  };
}

export function batchesOfHost(world: World, host: string, endless: Endless): HostBatchActivities {
  return {
    createMachines: async ({ machines }) => {
      await stepsOn(world, host, endless)(`make many on ${host}`);
      const made = machines.filter(({ operationId }) => !world.refusals.has(operationId));
      const seen = { macAddress: null, bundlePath: "/vm/ci.pvm", diskBytes: 10, addresses: [] };
      return { made: made.map(({ operationId }) => ({ operationId, made: seen })) };
    },
  };
}
