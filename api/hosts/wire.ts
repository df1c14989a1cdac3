/**
 * Hosts as the wire's orchestrator and its hardware page show them. Memory and disk are in MB of 1024 * 1024 bytes there.
 *
 * The one idea: what is in use is summed from the machines that are shown, so the two pages never disagree.
 */
import { z } from "zod";
import type { Host } from "../../domain/hosts/schema.ts";
import { holdsProcessor } from "../../domain/machines/rules.ts";
import type { SeenMachine } from "../../db/observed.ts";
import { mebibyte, wireHostState } from "../machines/wire.ts";
import type { Settings } from "../ports.ts";
import { present } from "../wire/present.ts";

const text = z.string().default("");
const HostResourceItem = z
  .object({
    total_apple_vms: z.int().optional(),
    logical_cpu_count: z.int(),
    memory_size: z.number(),
    disk_size: z.number().optional(),
    free_disk_size: z.number().optional(),
  })
  .meta({ id: "HostResourceItem" });
const HostResources = z
  .object({
    total_apple_vms: z.int().optional(),
    system_reserved: HostResourceItem,
    total: HostResourceItem,
    total_available: HostResourceItem,
    total_in_use: HostResourceItem,
    total_reserved: HostResourceItem,
  })
  .meta({ id: "HostResources" });
export const OrchestratorHostResponse = z
  .object({
    id: z.string(),
    enabled: z.boolean(),
    host: z.string(),
    architecture: z.string(),
    cpu_model: z.string(),
    os_version: z.string().optional(),
    os_name: z.string().optional(),
    devops_version: z.string().optional(),
    description: z.string().optional(),
    tags: z.array(z.string()).optional(),
    state: z.string().optional(),
    parallels_desktop_version: z.string().optional(),
    parallels_desktop_licensed: z.boolean().optional(),
    has_websocket_events: z.boolean(),
    is_reverse_proxy_enabled: z.boolean(),
    is_log_streaming_enabled: z.boolean(),
    enabled_modules: z.array(z.string()).optional(),
    resources: HostResourceItem.optional(),
    detailed_resources: HostResources.optional(),
  })
  .meta({ id: "OrchestratorHostResponse" });
export const HostResourceOverviewResponse = HostResources.omit({ total_apple_vms: true })
  .extend({ cpu_type: z.string().optional(), cpu_brand: z.string().optional() })
  .meta({ id: "HostResourceOverviewResponse" });
const SystemUsageItem = z
  .object({ logical_cpu_count: z.int(), memory_size: z.number(), disk_count: z.number() })
  .meta({ id: "SystemUsageItem" });
export const SystemUsageResponse = z
  .object({
    cpu_type: z.string().optional(),
    cpu_brand: z.string().optional(),
    devops_version: z.string().optional(),
    os_name: z.string().optional(),
    os_version: z.string().optional(),
    parallels_desktop_version: z.string().optional(),
    parallels_desktop_licensed: z.boolean().optional(),
    is_reverse_proxy_enabled: z.boolean(),
    is_log_streaming_enabled: z.boolean(),
    system_reserved: SystemUsageItem.optional(),
    total: SystemUsageItem.optional(),
    total_available: SystemUsageItem.optional(),
    total_in_use: SystemUsageItem.optional(),
    total_reserved: SystemUsageItem.optional(),
    enabled_modules: z.array(z.string()).optional(),
  })
  .meta({ id: "SystemUsageResponse" });
export const ParallelsDesktopLicense = z
  .object({
    status: z.string(),
    serial: z.string(),
    expiration: z.string(),
    main_period_ends_at: z.string(),
    grace_period_ends_at: z.string(),
    cpu_total: z.int(),
    max_memory: z.int(),
    edition: z.string(),
    is_trial: z.string(),
    is_volume: z.string(),
    deferred_activation: z.string(),
    uuid: z.string(),
  })
  .meta({ id: "ParallelsDesktopLicense" });
export const OrchestratorHostUpdateRequest = z
  .object({ description: text, tags: z.array(z.string()).optional() })
  .meta({ id: "OrchestratorHostUpdateRequest" });
export const CreateEnrollmentTokenRequest = z
  .object({ host_name: text, ttl_minutes: z.int().default(0) })
  .meta({ id: "CreateEnrollmentTokenRequest" });
export const CreateEnrollmentTokenResponse = z
  .object({ token: z.string(), host_name: z.string(), expires_at: z.string() })
  .meta({ id: "CreateEnrollmentTokenResponse" });
export const ValidateEnrollmentTokenResponse = z
  .object({ valid: z.boolean(), host_name: z.string().optional(), expires_at: z.string().optional(), reason: z.string().optional() })
  .meta({ id: "ValidateEnrollmentTokenResponse" });

interface Amount {
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
}
export interface Usage {
  readonly reserved: Amount;
  readonly total: Amount;
  readonly available: Amount;
  readonly inUse: Amount;
  readonly committed: Amount;
  readonly macosRunning: number;
}

const none: Amount = { cpus: 0, memoryBytes: 0, diskBytes: 0 };
const plus = (a: Amount, b: Amount): Amount => ({
  cpus: a.cpus + b.cpus,
  memoryBytes: a.memoryBytes + b.memoryBytes,
  diskBytes: a.diskBytes + b.diskBytes,
});
const above = (value: number): number => Math.max(0, value);

export function usageOf({ facts }: Host, machines: readonly SeenMachine[], reserve: Settings["reserved"]): Usage {
  const sizes = machines.flatMap(({ machine, seen }) => {
    const one = machine ?? seen;
    if (!one) return [];
    const state = machine?.observed ?? seen?.state ?? "unknown";
    return [
      {
        size: { cpus: one.vcpus, memoryBytes: one.memoryBytes, diskBytes: one.diskBytes },
        runs: holdsProcessor(state),
        macos: one.kind === "macvm",
      },
    ];
  });
  const sum = (of: typeof sizes) => of.map(({ size }) => size).reduce(plus, none);
  const running = sizes.filter(({ runs }) => runs);
  const inUse = sum(running);
  const total: Amount = facts ? { cpus: facts.cpus, memoryBytes: facts.memoryBytes, diskBytes: facts.diskBytes } : none;
  const available = {
    cpus: above(total.cpus - reserve.cpus - inUse.cpus),
    memoryBytes: above(total.memoryBytes - reserve.memoryBytes - inUse.memoryBytes),
    diskBytes: above((facts?.freeBytes ?? 0) - reserve.diskBytes),
  };
  return { reserved: reserve, total, available, inUse, committed: sum(sizes), macosRunning: running.filter(({ macos }) => macos).length };
}

export const addUsage = (a: Usage, b: Usage): Usage => ({
  reserved: plus(a.reserved, b.reserved),
  total: plus(a.total, b.total),
  available: plus(a.available, b.available),
  inUse: plus(a.inUse, b.inUse),
  committed: plus(a.committed, b.committed),
  macosRunning: a.macosRunning + b.macosRunning,
});

const item = ({ cpus, memoryBytes, diskBytes }: Amount) => ({
  logical_cpu_count: cpus,
  memory_size: memoryBytes / mebibyte,
  disk_size: Math.floor(diskBytes / mebibyte),
});
const counted = (amount: Amount) => {
  const { disk_size, ...rest } = item(amount);
  return { ...rest, disk_count: disk_size };
};
const resources = (usage: Usage) => ({
  system_reserved: item(usage.reserved),
  total: item(usage.total),
  total_available: item(usage.available),
  total_in_use: item(usage.inUse),
  total_reserved: item(usage.committed),
});

const noFeatures = { is_reverse_proxy_enabled: false, is_log_streaming_enabled: false };
const hypervisorOf = ({ facts }: Host) =>
  present({
    parallels_desktop_version: facts?.hypervisor.version,
    parallels_desktop_licensed: facts ? isLicensed(facts.hypervisor.licence) : false,
  });
export const isLicensed = (licence: string): boolean => /^(valid|active)$/i.test(licence);

export function wireHost(host: Host, usage: Usage, modules: readonly string[]): z.input<typeof OrchestratorHostResponse> {
  const { facts } = host;
  return {
    id: host.id,
    enabled: host.enabled,
    host: host.name,
    architecture: facts?.architecture ?? "",
    cpu_model: facts?.cpuModel ?? "",
    ...present({
      os_version: facts?.osVersion,
      os_name: facts?.osName,
      devops_version: facts?.workerVersion,
      description: host.name,
      tags: host.labels,
    }),
    state: wireHostState(host),
    ...hypervisorOf(host),
    has_websocket_events: host.state === "online",
    ...noFeatures,
    enabled_modules: [...modules],
    resources: item(usage.total),
    detailed_resources: { ...present({ total_apple_vms: usage.macosRunning }), ...resources(usage) },
  };
}

export function wireOverview(architecture: string, usage: Usage, brand = ""): z.input<typeof HostResourceOverviewResponse> {
  return { ...present({ cpu_type: architecture, cpu_brand: brand }), ...resources(usage) };
}

export function wireHardware(host: Host, usage: Usage, modules: readonly string[]): z.input<typeof SystemUsageResponse> {
  const { facts } = host;
  return {
    ...present({
      cpu_type: facts?.architecture,
      cpu_brand: facts?.cpuModel,
      devops_version: facts?.workerVersion,
      os_name: facts?.osName,
      os_version: facts?.osVersion,
    }),
    ...hypervisorOf(host),
    ...noFeatures,
    system_reserved: counted(usage.reserved),
    total: counted(usage.total),
    total_available: counted(usage.available),
    total_in_use: counted(usage.inUse),
    total_reserved: counted(usage.committed),
    enabled_modules: [...modules],
  };
}

export const DiskSpaceAvailableRequest = z.object({ username: text, folder_path: text }).meta({ id: "DiskSpaceAvailableRequest" });
export const DiskSpaceAvailable = z
  .object({
    cache_folder_size: z.int().optional(),
    parallels_home_size: z.int().optional(),
    given_path_size: z.int().optional(),
    prl_home_path: z.string().optional(),
  })
  .meta({ id: "DiskSpaceAvailable", description: "Free space in MB." });

/** Hosts report one disk, on which machines and cache lie both. */
export function wireDiskSpace({ facts }: Host, folder: string): z.input<typeof DiskSpaceAvailable> {
  const free = Math.floor((facts?.freeBytes ?? 0) / mebibyte);
  const given = folder === "" ? {} : { given_path_size: free };
  return present({ cache_folder_size: free, parallels_home_size: free, ...given, prl_home_path: facts?.machineFolder });
}

/** What a host told of its licence; what it did not tell is empty. */
export function wireLicence({ facts }: Host): z.input<typeof ParallelsDesktopLicense> {
  const licence = facts?.hypervisor.licence ?? "";
  const unknown = { serial: "", expiration: "", main_period_ends_at: "", grace_period_ends_at: "" };
  return {
    status: isLicensed(licence) ? "ACTIVE" : licence.toUpperCase(),
    ...unknown,
    cpu_total: facts?.cpus ?? 0,
    max_memory: Math.floor((facts?.memoryBytes ?? 0) / mebibyte),
    edition: "",
    is_trial: "no",
    is_volume: "no",
    deferred_activation: "no",
    uuid: "",
  };
}
