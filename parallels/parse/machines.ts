/**
 * Machines as `prlctl list` shows them, short and in full.
 *
 * The one idea: the set of keys changes with version, guest and devices, so everything but the id may be missing, nothing unknown is an
 * error, and the object stays at hand as it came.
 */
import { z } from "zod";
import { machineStates, type MachineState } from "../../domain/machines/rules.ts";
import { jsonIn, unreadable } from "./json.ts";

export interface ListedMachine {
  readonly id: string;
  readonly name: string;
  readonly state: MachineState;
  /** `null` until the guest has an address that others can reach; a link-local one does not count. */
  readonly address: string | null;
}

export interface VmInfo {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly state: MachineState;
  /** Parallels' word for the guest's system, `macosx` or `ubuntu`. */
  readonly os: string | null;
  /** Without a trailing slash; `null` where Parallels does not tell, as it sometimes does in lists of all machines. */
  readonly bundlePath: string | null;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  /** Twelve hexadecimal digits, as Parallels writes it. */
  readonly macAddress: string | null;
  /** Those of a running guest; what Parallels remembers of a stopped one is left out. */
  readonly addresses: readonly string[];
  readonly tools: { readonly state: string; readonly version: string | null };
  readonly uptimeSeconds: number;
  readonly packed: boolean;
  readonly encrypted: boolean;
  readonly template: boolean;
  readonly isMacOS: boolean;
  readonly raw: Readonly<Record<string, unknown>>;
}

const bareId = z
  .string()
  .min(1)
  .transform((id) => id.replace(/[{}]/g, "").toLowerCase());
const text = z.string().catch("");
const State = z.enum(machineStates).catch("unknown");

const Listed = z.array(z.looseObject({ uuid: bareId, status: State, ip_configured: text, name: text }));

export function parseList(output: string): ListedMachine[] {
  const rows = parsed(Listed, jsonIn(output, "prlctl list") ?? [], "prlctl list", output);
  return rows.map(({ uuid, status, ip_configured, name }) => ({
    id: uuid,
    name,
    state: status,
    address: bestAddress(ip_configured.split(/\s+/)),
  }));
}

/** Parallels writes sizes as `8192Mb`. */
const megabytes = z
  .string()
  .transform((size) => Number(/^(\d+)\s*Mb$/i.exec(size)?.[1] ?? 0) * 1024 ** 2)
  .catch(0);
const yes = z.union([z.string().transform((word) => word === "yes" || word === "on"), z.boolean()]).catch(false);
/** Some versions write numbers as text. */
const number = z.coerce.number().catch(0);
/** A section may be missing, or be something else in another version. */
const section = <S extends z.ZodRawShape>(shape: S) =>
  z.preprocess((value) => (typeof value === "object" && value !== null ? value : {}), z.looseObject(shape));

const Device = z.looseObject({ size: megabytes.optional(), mac: z.string().optional() }).catch({});
const Vm = z.looseObject({
  ID: bareId,
  Name: text,
  Description: text,
  State,
  OS: text,
  Template: yes,
  Uptime: number,
  Home: text,
  "Home path": text,
  GuestTools: section({ state: text, version: text }),
  Security: section({ Encrypted: yes, Packed: yes }),
  Hardware: section({ cpu: section({ cpus: number }), memory: section({ size: megabytes }) }),
  Network: section({ ipAddresses: z.array(z.looseObject({ ip: text })).catch([]) }),
});

export function parseInventory(output: string): VmInfo[] {
  const rows = jsonIn(output, "prlctl list -i") ?? [];
  return parsed(z.array(z.record(z.string(), z.unknown())), rows, "prlctl list -i", output).map((raw) => machineOf(raw, output));
}

function machineOf(raw: Record<string, unknown>, output: string): VmInfo {
  const vm = parsed(Vm, raw, "prlctl list -i", output);
  const bundlePath = bundlePathOf(vm.Home, vm["Home path"]);
  const devices = Object.entries(vm.Hardware).map(([id, device]) => [id, Device.parse(device)] as const);
  const addresses = vm.State === "running" ? vm.Network.ipAddresses.map(({ ip }) => ip).filter(isReachable) : [];
  return {
    id: vm.ID,
    name: vm.Name,
    description: vm.Description,
    state: vm.State,
    os: vm.OS || null,
    bundlePath,
    cpus: vm.Hardware.cpu.cpus,
    memoryBytes: vm.Hardware.memory.size,
    diskBytes: devices.reduce((sum, [id, { size = 0 }]) => sum + (/^hdd\d+$/.test(id) ? size : 0), 0),
    macAddress: devices.find(([id]) => id === "net0")?.[1].mac?.toUpperCase() ?? null,
    addresses: addresses.toSorted((one, other) => Number(one.includes(":")) - Number(other.includes(":"))),
    tools: { state: vm.GuestTools.state || "unknown", version: vm.GuestTools.version || null },
    uptimeSeconds: vm.Uptime,
    packed: vm.Security.Packed || /\.(pvmp|macvmp)$/.test(bundlePath ?? ""),
    encrypted: vm.Security.Encrypted,
    template: vm.Template,
    // Neither type nor system tells: a macOS guest on an Intel Mac is a .pvm.
    isMacOS: /\.macvmp?$/.test(bundlePath ?? ""),
    raw,
  };
}

/** Both may be empty; the second names the configuration file, or the bundle itself when the machine is invalid or packed. */
function bundlePathOf(home: string, homePath: string): string | null {
  const path = home || homePath.replace(/\/config\.pvs$/, "");
  return path.replace(/\/+$/, "") || null;
}

/** A booting guest first reports addresses that only its own link reaches. */
const isReachable = (address: string) => address !== "" && address !== "-" && !/^(fe80:|169\.254\.)/i.test(address);

function bestAddress(addresses: readonly string[]): string | null {
  const reachable = addresses.filter(isReachable);
  return reachable.find((address) => !address.includes(":")) ?? reachable[0] ?? null;
}

function parsed<T>(schema: z.ZodType<T>, value: unknown, command: string, output: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw unreadable(command, output, result.error);
}
