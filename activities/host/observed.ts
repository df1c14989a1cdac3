/** A machine of Parallels Desktop in the words in which the hub is told of it. */
import type { ObservedMachine } from "../../domain/machines/schema.ts";
import type { VmInfo } from "../../parallels/parse/machines.ts";
import { readMark } from "./mark.ts";
import { markOf } from "./unregistered.ts";

export async function observed(vm: VmInfo): Promise<ObservedMachine> {
  const mark = vm.bundlePath === null ? null : await readMark(vm.bundlePath);
  const { id, name, state, memoryBytes, diskBytes, macAddress, bundlePath } = vm;
  return {
    id,
    name,
    state,
    memoryBytes,
    diskBytes,
    macAddress,
    bundlePath,
    kind: vm.isMacOS ? "macvm" : "pvm",
    guestOs: vm.os,
    vcpus: vm.cpus,
    addresses: [...vm.addresses],
    tools: vm.tools.state,
    mark: mark && markOf(vm.id, mark),
    raw: { ...vm.raw },
  };
}
