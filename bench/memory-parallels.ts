/**
 * Parallels Desktop as a map in memory: machines are registered, started and removed at once, and no process runs for it.
 *
 * What no benchmark asks for is refused, so that nothing is measured that does nothing.
 */
import { mkdir } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import type { FactSources } from "../activities/host/facts.ts";
import { FaultError } from "../domain/errors.ts";
import type { VmInfo } from "../parallels/parse/machines.ts";
import type { Prlctl } from "../parallels/prlctl.ts";

const gibibyte = 1024 ** 3;
/** Room for all machines of a run on a few hosts, so that placing is what is measured and not waiting. */
const size = { cpus: 128, memoryBytes: 512 * gibibyte };

export async function memoryParallels(home: string): Promise<FactSources> {
  const machineFolder = join(home, "Parallels");
  await mkdir(machineFolder, { recursive: true });
  const prlctl = inMemory(machineFolder);
  return { prlctl, machineFolder, roots: [machineFolder], workerVersion: "bench", simulated: true, size, bootId: async () => "bench" };
}

const refused = () =>
  Promise.reject(new FaultError({ code: "prlctl_failed", message: "The Parallels Desktop of the benchmark does not do this." }));

function inMemory(vmHome: string): Prlctl {
  const machines = new Map<string, VmInfo>();
  const serverId = crypto.randomUUID();
  const named = (word: string) => machines.get(word) ?? [...machines.values()].find(({ name }) => name === word);
  const change = async (word: string, changes: Partial<VmInfo>) => {
    const machine = named(word);
    if (!machine) throw new FaultError({ code: "machine_not_found", message: `There is no machine ${word}.` });
    machines.set(machine.id, { ...machine, ...changes });
  };
  const forget = async (word: string) => void machines.delete(named(word)?.id ?? word);
  return {
    paths: { prlctlPath: "", prlsrvctlPath: "" },
    version: refused,
    serverInfo: async () => ({
      hostName: "bench",
      os: "macOS 15.2",
      version: "20.2.0-55872",
      vmHome,
      hardwareId: serverId,
      licence: { state: "valid", valid: true },
    }),
    list: async () => [...machines.values()].map(({ id, name, state, addresses }) => ({ id, name, state, address: addresses[0] ?? null })),
    inventory: async () => [...machines.values()],
    find: async (word) => named(word) ?? null,
    register: async (bundlePath, { uuid }) => void machines.set(uuid, machineOf(uuid, bundlePath)),
    set: (word, { cpus, memoryBytes }) =>
      change(word, { ...(cpus === undefined ? {} : { cpus }), ...(memoryBytes === undefined ? {} : { memoryBytes }) }),
    start: (word) => change(word, { state: "running", addresses: ["10.211.55.9"] }),
    stop: (word) => change(word, { state: "stopped", addresses: [] }),
    unregister: forget,
    remove: forget,
    clone: refused,
    restart: refused,
    reset: refused,
    suspend: refused,
    resume: refused,
    pause: refused,
    snapshotCreate: refused,
    snapshotList: async () => [],
    snapshotRevert: refused,
    snapshotRemove: refused,
    copyIn: refused,
    capture: refused,
    exec: refused,
  };
}

const machineOf = (id: string, bundlePath: string): VmInfo => ({
  id,
  name: basename(bundlePath, extname(bundlePath)),
  description: "",
  state: "stopped",
  os: "ubuntu",
  bundlePath,
  cpus: 1,
  memoryBytes: gibibyte / 2,
  diskBytes: 0,
  macAddress: "001C42000001",
  addresses: [],
  tools: { state: "installed", version: "20" },
  uptimeSeconds: 0,
  packed: false,
  encrypted: false,
  template: false,
  isMacOS: false,
  raw: { ID: id, Name: basename(bundlePath) },
});
