/**
 * Machines: what is desired of them, what is observed, and what callers may ask.
 *
 * The one idea: desired and observed are two facts. Callers write the first, hosts report the second, and the compare loop narrows the gap.
 */
import { z } from "zod";
import { BundleKind, ImageReference } from "../catalog/schema.ts";
import { profiles } from "../hosts/rules.ts";
import { HostId, MachineId, OperationId, Uuid } from "../ids.ts";
import { OnFault } from "../operations/schema.ts";
import { desiredStates, machineStates, stopModes } from "./rules.ts";
import { driftKinds, standings } from "./truth.ts";

/** Parallels keeps names as file names: 200 characters leave room for the suffix, and no separator, control character or leading dash. */
export const MachineName = z
  .string()
  .trim()
  .min(1, "name is empty")
  .max(200, "name has more than 200 characters")
  .regex(/^[\p{L}\p{N}][\p{L}\p{N} ._()-]*$/u, "name starts with a letter or digit and holds letters, digits, blanks and . _ ( ) - only")
  .meta({ id: "MachineName" });

export const MachineState = z.enum(machineStates).meta({ id: "MachineState" });
export const DesiredState = z.enum(desiredStates).meta({ id: "DesiredState" });

/** How a machine differs from what is wanted, where somebody has to decide. */
export const Drift = z
  .object({ kind: z.enum(driftKinds), message: z.string(), remedy: z.string(), since: z.iso.datetime() })
  .meta({ id: "Drift" });
export type Drift = z.infer<typeof Drift>;

/** A machine for which no host has room yet. */
export const Pending = z
  .object({
    since: z.iso.datetime(),
    until: z.iso.datetime().meta({ description: "When the request gives up." }),
    priority: z.int(),
    ahead: z.int().nonnegative().meta({ description: "How many requests have their turn before." }),
    hosts: z
      .array(z.object({ hostId: HostId, host: z.string(), lacks: z.array(z.string()) }))
      .meta({ description: "What each host lacks; nothing where all it has is for requests before." }),
  })
  .meta({ id: "Pending", description: "Why a machine waits for a host." });
export type Pending = z.infer<typeof Pending>;

export const Machine = z
  .object({
    id: MachineId,
    project: z.string(),
    name: z.string(),
    owner: z.string(),
    hostId: HostId.nullable(),
    epoch: z.int().positive(),
    origin: z.enum(["image", "clone", "adopted"]),
    imageVersionId: Uuid.nullable(),
    image: z.string().nullable(),
    digest: z.string().nullable(),
    linkedTo: MachineId.nullable().meta({ description: "The machine whose disks this linked clone stands on." }),
    kind: BundleKind,
    guestOs: z.string().nullable(),
    desired: DesiredState,
    observed: MachineState,
    observedAt: z.date().nullable(),
    drift: z.array(Drift).default([]),
    pending: Pending.nullable().default(null).meta({ description: "Null unless it waits for room on a host." }),
    vcpus: z.int().positive(),
    memoryBytes: z.int().positive(),
    diskBytes: z.int().nonnegative(),
    macAddress: z.string().nullable(),
    addresses: z.array(z.string()),
    bundlePath: z.string().nullable(),
    description: z.string(),
    labels: z.record(z.string(), z.string()),
    requiredRoles: z.array(z.string()).meta({ description: "Any of these is enough to reach the machine; empty asks for none." }),
    requiredClaims: z.array(z.string()).meta({ description: "Any of these is enough; its owner needs none." }),
    expiresAt: z.date().nullable(),
    createdAt: z.date(),
    updatedAt: z.date(),
  })
  .meta({ id: "Machine" });
export type Machine = z.infer<typeof Machine>;

const Size = { vcpus: z.int().positive().max(512).optional(), memoryBytes: z.int().positive().optional() };

export const NewMachine = z
  .object({
    name: MachineName,
    image: ImageReference,
    hostId: HostId.optional().meta({ description: "This host and no other." }),
    hostLabels: z.array(z.string().min(1)).max(32).default([]).meta({ description: "Any of these labels is enough." }),
    tolerates: z.array(z.string().min(1).max(128)).max(32).default([]).meta({ description: "Taints of hosts that the machine bears." }),
    apartFrom: z
      .record(z.string().min(1).max(128), z.string().max(256))
      .default({})
      .meta({ description: "On no host that has a machine with all these labels." }),
    profile: z
      .enum(profiles)
      .default("spread")
      .meta({ description: "Among hosts that fit: the one that has most memory left, or with `fill` the one that has least." }),
    ...Size,
    description: z.string().max(4096).default(""),
    labels: z.record(z.string().min(1).max(128), z.string().max(256)).default({}),
    start: z.boolean().default(true),
    ttlSeconds: z
      .int()
      .positive()
      .max(365 * 86_400)
      .optional()
      .meta({ description: "The machine is retired so many seconds after it was asked for." }),
    onFault: OnFault.default("park"),
    waitSeconds: z
      .int()
      .min(0)
      .max(7 * 86_400)
      .optional()
      .meta({
        description: "How long the request may wait for room on a host: an hour unless it says otherwise or is to fail at a fault.",
      }),
    priority: z
      .int()
      .min(-100)
      .max(100)
      .default(0)
      .meta({ description: "Among requests that wait for room the highest has its turn first." }),
    count: z
      .int()
      .min(1)
      .max(1000)
      .optional()
      .meta({ description: "So many machines at once, called `name-1`, `name-2` and so on: all are accepted, or none." }),
  })
  .meta({ id: "NewMachine" });
export type NewMachine = z.infer<typeof NewMachine>;

const flagValue = z.string().max(1024);
export const MachineAction = z
  .discriminatedUnion("verb", [
    z.object({ verb: z.literal("start") }),
    z.object({ verb: z.literal("stop"), mode: z.enum(stopModes).default("graceful"), graceSeconds: z.int().min(0).max(3600).default(120) }),
    z.object({ verb: z.literal("restart") }),
    z.object({ verb: z.literal("suspend") }),
    z.object({ verb: z.literal("resume") }),
    z.object({ verb: z.literal("pause") }),
    z.object({ verb: z.literal("reset") }),
    z.object({
      verb: z.literal("configure"),
      ...Size,
      description: z.string().max(4096).optional(),
      /** Options of `prlctl set`, as flag and value; the host checks them against its list. */
      options: z
        .array(z.object({ flag: z.string().regex(/^[a-z0-9][a-z0-9-]*$/), value: flagValue.optional() }))
        .max(64)
        .default([]),
    }),
    z.object({ verb: z.literal("rename"), name: MachineName }),
    z.object({ verb: z.literal("clone"), name: MachineName, linked: z.boolean().default(false) }),
    z.object({ verb: z.literal("snapshot-create"), name: z.string().min(1).max(200), description: z.string().max(4096).default("") }),
    z.object({ verb: z.literal("snapshot-list") }),
    z.object({ verb: z.literal("snapshot-revert"), snapshotId: Uuid, resume: z.boolean().default(true) }),
    z.object({ verb: z.literal("snapshot-delete"), snapshotId: Uuid, children: z.boolean().default(false) }),
    z.object({
      verb: z.literal("execute"),
      /** Never part of a workflow's history: sealed at rest, fetched by the host when it runs. */
      script: z
        .string()
        .min(1)
        .max(1024 * 1024),
      environment: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string()).default({}),
      user: z.string().max(256).optional(),
      timeoutSeconds: z.int().positive().max(86_400).default(3600),
    }),
    z.object({
      verb: z.literal("upload"),
      path: z.string().min(1).max(4096).meta({ description: "A file or folder on the machine's host, below its roots." }),
      guestPath: z.string().min(1).max(4096).meta({ description: "Where it comes to in the guest." }),
    }),
    z.object({ verb: z.literal("capture") }),
  ])
  .meta({ id: "MachineAction" });
export type MachineAction = z.infer<typeof MachineAction>;

/** An action as it is asked for over our API. */
export const MachineActionRequest = MachineAction.and(z.object({ onFault: OnFault.default("park") })).meta({ id: "MachineActionRequest" });

export const Snapshot = z
  .object({ id: Uuid, name: z.string(), date: z.string(), state: z.string(), current: z.boolean(), parentId: Uuid.nullable() })
  .meta({ id: "Snapshot" });
export type Snapshot = z.infer<typeof Snapshot>;

/** One line of what a guest command wrote. */
export const OutputLine = z
  .object({ line: z.int().positive(), stream: z.enum(["stdout", "stderr"]), text: z.string() })
  .meta({ id: "OutputLine" });
export type OutputLine = z.infer<typeof OutputLine>;

/** The mark in a machine's bundle. */
const ObservedMark = z.object({
  hubId: Uuid,
  /** The machine that the mark was written for, where that is another one: the bundle is somebody's copy. */
  machineId: MachineId.optional(),
  epoch: z.int().positive(),
  operationId: OperationId.nullable(),
  /** Not the very bundle that was marked, but one made of it. */
  copied: z.boolean().optional(),
  /** Somebody made the machine, and it was adopted later. */
  adopted: z.boolean().optional(),
});

/** A machine as its host sees it; `raw` is the object that Parallels Desktop gave, for clients of its REST contract. */
export const ObservedMachine = z
  .object({
    id: MachineId,
    name: z.string(),
    state: MachineState,
    kind: BundleKind,
    guestOs: z.string().nullable(),
    vcpus: z.int().nonnegative(),
    memoryBytes: z.int().nonnegative(),
    diskBytes: z.int().nonnegative(),
    macAddress: z.string().nullable(),
    addresses: z.array(z.string()),
    bundlePath: z.string().nullable(),
    tools: z.string().nullable(),
    mark: ObservedMark.nullable(),
    /** A bundle with a mark of ours that no machine is registered of. */
    unregistered: z.boolean().optional(),
    raw: z.record(z.string(), z.unknown()),
  })
  .meta({ id: "ObservedMachine" });
export type ObservedMachine = z.infer<typeof ObservedMachine>;

/** A machine that is in no row: ours by its mark, or somebody else's. */
export const Unclaimed = z
  .object({
    id: MachineId,
    name: z.string(),
    standing: z.enum(standings),
    hostId: HostId,
    host: z.string(),
    state: MachineState,
    unregistered: z.boolean(),
    copyOf: MachineId.nullable().meta({ description: "The machine of which its bundle is a copy." }),
    epoch: z.int().positive().nullable(),
    bundlePath: z.string().nullable(),
    since: z.date().meta({ description: "When its host first reported it." }),
  })
  .meta({ id: "Unclaimed", description: "A machine that a host reports and that no row of the hub claims." });
export type Unclaimed = z.infer<typeof Unclaimed>;

/** A machine's bundle on a host, which is to become a machine of ours. */
export const Registration = z.object({
  hostId: HostId,
  path: z.string().min(1).max(4096),
  name: MachineName.optional(),
  machineId: MachineId.optional(),
});
export type Registration = z.infer<typeof Registration>;

export const Adoption = z
  .object({
    hostId: HostId.optional().meta({ description: "Where several hosts report the id." }),
    name: MachineName.optional().meta({ description: "Another name than the one it has." }),
    onFault: OnFault.default("park"),
  })
  .meta({ id: "Adoption" });
export type Adoption = z.infer<typeof Adoption>;
