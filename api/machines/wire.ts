/**
 * Machines as the wire shows them: the listing of Parallels Desktop, verbatim, with a few keys of the service beside it.
 *
 * The one idea: what the host reported is passed on untouched, except where the hub knows better: identity, name, state, owner and host.
 */
import { z } from "zod";
import type { MachineState } from "../../domain/machines/rules.ts";
import type { SeenMachine } from "../../db/observed.ts";
import { present } from "../wire/present.ts";
import { completed } from "./listing.ts";

const text = z.string().default("");
export const mebibyte = 1024 ** 2;

export const ParallelsVM = z
  .looseObject({
    ID: z.string(),
    Name: z.string(),
    State: z.string(),
    OS: z.string(),
    user: z.string(),
    host: z.string().optional(),
    host_id: z.string().optional(),
    host_name: z.string().optional(),
    host_state: z.string().optional(),
    internal_ip_address: z.string().optional(),
  })
  .meta({ id: "ParallelsVM", description: "As `prlctl list -a -i -f --json` gives it, with keys of the service beside." });

const Specs = z.object({ type: text, cpu: text, memory: text, disk: text, size: z.number().default(0) });
const CreateCatalogVirtualMachineRequest = z.object({
  catalog_id: text,
  version: text,
  architecture: text,
  machine_name: text,
  connection: text,
  catalog_manager_id: text,
  path: text,
  start_after_pull: z.boolean().default(false),
  specs: Specs.optional(),
});
export const CreateVirtualMachineRequest = z
  .object({
    name: text,
    owner: text,
    architecture: text,
    selection_tags: z.array(z.string()).default([]),
    packer_template: z.record(z.string(), z.unknown()).optional(),
    vagrant_box: z.record(z.string(), z.unknown()).optional(),
    catalog_manifest: CreateCatalogVirtualMachineRequest.optional(),
    start_on_create: z.boolean().default(false),
  })
  .meta({ id: "CreateVirtualMachineRequest" });
export type CreateVirtualMachineRequest = z.output<typeof CreateVirtualMachineRequest>;
export const CreateVirtualMachineResponse = z
  .object({ id: z.string(), host: z.string().optional(), name: z.string(), owner: z.string(), current_state: z.string() })
  .meta({ id: "CreateVirtualMachineResponse" });

export const VirtualMachineOperationResponse = z
  .object({ id: z.string(), operation: z.string(), status: z.string() })
  .meta({ id: "VirtualMachineOperationResponse" });
export const VirtualMachineStatusResponse = z
  .object({ id: z.string(), status: z.string(), ip_configured: z.string() })
  .meta({ id: "VirtualMachineStatusResponse" });
export const RenameVirtualMachineRequest = z.object({ new_name: text, description: text }).meta({ id: "RenameVirtualMachineRequest" });
export const VirtualMachineCloneCommandRequest = z
  .object({ clone_name: text, destination_path: text })
  .meta({ id: "VirtualMachineCloneCommandRequest" });
export const VirtualMachineCloneCommandResponse = z
  .object({ id: z.string().optional(), status: z.string().optional(), error: z.string().optional() })
  .meta({ id: "VirtualMachineCloneCommandResponse" });
export const VirtualMachineExecuteCommandRequest = z
  .object({
    command: text,
    environment_variables: z.record(z.string(), z.string()).default({}),
    script: z.object({ path: text }).optional(),
    use_sudo: z.boolean().default(false),
    user: text,
  })
  .meta({ id: "VirtualMachineExecuteCommandRequest" });
export const VirtualMachineExecuteCommandResponse = z
  .object({ stdout: z.string().optional(), stderr: z.string().optional(), exit_code: z.int(), error: z.string().optional() })
  .meta({ id: "VirtualMachineExecuteCommandResponse" });
const ConfigOperation = z.object({
  group: text,
  operation: text,
  value: text,
  options: z.array(z.object({ flag: text, value: text })).default([]),
  flags: z.array(z.string()).default([]),
});
export type ConfigOperation = z.output<typeof ConfigOperation>;
export const VirtualMachineConfigRequest = z
  .object({ owner: text, operations: z.array(ConfigOperation).default([]) })
  .meta({ id: "VirtualMachineConfigRequest" });
export const VirtualMachineConfigResponse = z
  .object({ operations: z.array(z.object({ group: z.string(), operation: z.string(), status: z.string(), error: z.string().optional() })) })
  .meta({ id: "VirtualMachineConfigResponse" });
export const CreateVMSnapshotRequest = z
  .object({ snapshot_name: text, snapshot_description: text })
  .meta({ id: "CreateVMSnapshotRequest" });
export const CreateVMSnapshotResponse = z
  .object({ snapshot_name: z.string().optional(), snapshot_id: z.string().optional() })
  .meta({ id: "CreateVMSnapshotResponse" });
export const DeleteVMSnapshotRequest = z.object({ delete_children: z.boolean().default(false) }).meta({ id: "DeleteVMSnapshotRequest" });
export const RevertVMSnapshotRequest = z.object({ skip_resume: z.boolean().default(false) }).meta({ id: "RevertVMSnapshotRequest" });
export const ListVMSnapshotResponse = z
  .object({ snapshots: z.array(z.record(z.string(), z.unknown())).optional() })
  .meta({ id: "ListVMSnapshotResponse" });

/** States that are ours alone, in words that the wire's clients know. */
const ownStates: Partial<Record<MachineState, string>> = { making: "pending", absent: "error", unknown: "pending" };
export const wireState = (state: MachineState): string => ownStates[state] ?? state;

/** `fleet`: as an orchestrator shows it, with its host. */
export function wireMachine(
  { machine, seen, ownerName, host }: SeenMachine,
  { fleet }: { fleet: boolean },
): Record<string, unknown> & { ID: string; Name: string; State: string } {
  const id = machine?.id ?? seen?.id ?? "";
  const name = machine?.name ?? seen?.name ?? "";
  const state = machine?.observed ?? seen?.state ?? "unknown";
  const address = (machine?.addresses[0] ?? seen?.addresses[0]) || "-";
  const own = { ID: id, Name: name, Description: machine?.description ?? "", State: wireState(state), user: ownerName ?? "root" };
  const placed =
    fleet && host ? { host: host.name, host_url: host.name, host_id: host.id, host_name: host.name, host_state: wireHostState(host) } : {};
  return { ...completed({ ...unseen(machine), ...seen?.raw }), ...own, ...placed, internal_ip_address: address };
}

export const wireHostState = ({ state }: { state: string }): string => (state === "online" || state === "late" ? "healthy" : "unhealthy");

/** What stands for a listing until the host has given one. */
function unseen(machine: SeenMachine["machine"]): Record<string, unknown> {
  if (!machine) return {};
  const { kind, guestOs, bundlePath, vcpus, memoryBytes, diskBytes, macAddress, addresses } = machine;
  return {
    Type: kind === "macvm" ? "APPLE_VZ_VM" : "VM",
    OS: guestOs ?? "other",
    Template: "no",
    Uptime: "0",
    "Home path": bundlePath === null ? "" : `${bundlePath}/config.pvs`,
    Home: bundlePath === null ? "" : `${bundlePath}/`,
    GuestTools: { state: "not_installed" },
    Hardware: {
      cpu: { cpus: vcpus },
      memory: { size: `${Math.floor(memoryBytes / mebibyte)}Mb` },
      hdd0: { enabled: true, size: `${Math.floor(diskBytes / mebibyte)}Mb` },
      net0: { enabled: true, type: "shared", mac: (macAddress ?? "").replaceAll(":", "") },
    },
    Network: { ipAddresses: addresses.map((ip) => ({ type: ip.includes(":") ? "ipv6" : "ipv4", ip })) },
  };
}

interface WireSnapshot {
  readonly id: string;
  readonly parent: string;
  readonly [key: string]: unknown;
}
export function wireSnapshots(
  snapshots: readonly { id: string; name: string; date: string; state: string; current: boolean; parentId: string | null }[],
  grouped: boolean,
) {
  const flat = snapshots.map(({ parentId, id, name, date, state, current }) => ({
    id,
    name,
    date,
    state,
    current,
    parent: parentId ?? "",
  }));
  const below = (parent: string): WireSnapshot[] =>
    flat.filter((one) => one.parent === parent).map((one) => ({ ...one, ...present({ children: below(one.id) }) }));
  return present({ snapshots: grouped ? below("") : flat });
}
