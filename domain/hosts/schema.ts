/**
 * Hosts, their enrolment, and the lines that they report.
 *
 * The one idea: a host says what it sees, in lines that may come twice; only what it reported counts, and its silence is told by the database's clock.
 */
import { z } from "zod";
import { Architecture } from "../catalog/schema.ts";
import { HostId, OperationId, Sha256, Uuid } from "../ids.ts";
import { ObservedMachine } from "../machines/schema.ts";
import { FaultRecord, OnFault, Progress, StepState } from "../operations/schema.ts";
import { PeerAddress } from "./peers.ts";
import { cordons, drainPolicies, hostStates } from "./rules.ts";

export const HostName = z
  .string()
  .trim()
  .min(1)
  .max(63)
  .regex(/^[A-Za-z0-9][A-Za-z0-9.-]*$/, "name holds letters, digits, '.' and '-' and starts with a letter or digit")
  .meta({ id: "HostName" });

export const Hypervisor = z.object({
  name: z.string(),
  version: z.string(),
  licence: z.string(),
  simulated: z.boolean(),
});

/** What a host has; sizes in bytes. `hardwareId` is Parallels Desktop's. */
/** What the host's own process uses. */
export const HostUsage = z.object({
  memoryBytes: z.int().nonnegative(),
  heapBytes: z.int().nonnegative(),
  cpuUserMs: z.number().nonnegative(),
  cpuSystemMs: z.number().nonnegative(),
  cpuPercent: z.number().nonnegative().meta({ description: "Of one core, since the report before." }),
  /** What holds the process alive: sockets, timers, requests. */
  resources: z.int().nonnegative(),
});
export type HostUsage = z.infer<typeof HostUsage>;

export const HostFacts = z
  .object({
    hardwareId: z.string().min(1),
    architecture: Architecture,
    cpuModel: z.string(),
    osName: z.string(),
    osVersion: z.string(),
    cpus: z.int().positive(),
    memoryBytes: z.int().positive(),
    diskBytes: z.int().nonnegative(),
    freeBytes: z.int().nonnegative(),
    machineFolder: z.string(),
    roots: z.array(z.string()),
    hypervisor: Hypervisor,
    workerVersion: z.string(),
    interfaceVersion: z.int().positive(),
    peer: PeerAddress.optional().meta({ description: "Where it serves other hosts, where its peer port is on." }),
    usage: HostUsage.optional().meta({ description: "What the host's own process uses." }),
    clockOffsetMs: z.int().optional().meta({ description: "How far the host's clock is ahead of the hub's, to the second." }),
  })
  .meta({ id: "HostFacts" });
export type HostFacts = z.infer<typeof HostFacts>;

export const CachedImage = z.object({
  digest: Sha256,
  bytes: z.int().nonnegative(),
  lastUsedAt: z.iso.datetime(),
  pinned: z.boolean().optional().meta({ description: "By hand: it is not evicted." }),
  used: z.boolean().optional().meta({ description: "By an operation at this moment." }),
});
export type CachedImage = z.infer<typeof CachedImage>;

export const Host = z
  .object({
    id: HostId,
    name: z.string(),
    state: z.enum(hostStates),
    enabled: z.boolean(),
    cordon: z.enum(cordons).nullable().meta({ description: "Why no new machine is placed here; null where nothing keeps them away." }),
    cordoned: z.boolean().meta({ description: "By an operator." }),
    draining: OperationId.nullable().meta({ description: "The drain under way." }),
    maintenanceUntil: z.date().nullable().meta({ description: "When the maintenance window that is open ends." }),
    labels: z.array(z.string()),
    taints: z.array(z.string()).meta({ description: "No machine comes here that does not bear them all, unless it names this host." }),
    overcommitCpu: z.number().positive(),
    overcommitMemory: z.number().positive(),
    facts: HostFacts.nullable(),
    cached: z.array(CachedImage),
    lastReportAt: z.date().nullable(),
    sequence: z.int().nonnegative(),
    createdAt: z.date(),
  })
  .meta({ id: "Host" });
export type Host = z.infer<typeof Host>;

export const NewDrain = z
  .object({
    machines: z.enum(drainPolicies).default("wait").meta({
      description: "What happens to the machines there: wait until each has ended by itself, stop those that run, or retire all.",
    }),
    /** Four hours see a working day's CI jobs out; a week is more than a host should stand closed unnoticed. */
    limitSeconds: z.int().min(1).max(604_800).default(14_400),
    onFault: OnFault.default("park"),
  })
  .meta({ id: "NewDrain" });
export type NewDrain = z.infer<typeof NewDrain>;

/** Ed25519 public key, raw 32 bytes in base64url: what an OKP JWK calls `x`. */
const PublicKey = z.string().regex(/^[A-Za-z0-9_-]{43}$/);

export const NewEnrolmentToken = z
  .object({
    hostName: HostName,
    labels: z.array(z.string().min(1).max(128)).max(32).default([]),
    ttlSeconds: z.int().min(10).max(3600).default(600),
  })
  .meta({ id: "NewEnrolmentToken" });
export const EnrolmentToken = z
  .object({ token: z.string(), hostName: z.string(), expiresAt: z.date(), url: z.string(), authoritySha256: Sha256 })
  .meta({ id: "EnrolmentToken", description: "`token` pins the hub's authority: it ends in the SHA-256 of its certificate." });
export type EnrolmentToken = z.infer<typeof EnrolmentToken>;

export const EnrolRequest = z.object({
  token: z.string().min(1),
  publicKey: PublicKey,
  facts: HostFacts,
  replace: z.boolean().default(false),
});
export type EnrolRequest = z.infer<typeof EnrolRequest>;
export const EnrolAnswer = z.object({
  hostId: HostId,
  hubId: Uuid,
  name: z.string(),
  authority: z.string().meta({ description: "PEM of the hub's authority." }),
  grpcAddress: z.string().meta({ description: "host:port of the gateway's Temporal front." }),
  namespace: z.string(),
});
export type EnrolAnswer = z.infer<typeof EnrolAnswer>;

const Attempted = { operationId: OperationId, step: z.string().min(1).max(128), fence: z.int().nonnegative(), line: z.int().positive() };
export const ReportLine = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("inventory"),
    sequence: z.int().positive(),
    session: Uuid.meta({ description: "Made anew by every host process; two at once are refused." }),
    bootId: z.string(),
    at: z.iso.datetime(),
    /** What the hub's clock showed in its last answer before this was gathered. */
    after: z.iso.datetime().nullish(),
    facts: HostFacts,
    machines: z.array(ObservedMachine),
    cached: z.array(CachedImage),
  }),
  z.object({ kind: z.literal("step"), ...Attempted, state: StepState, fault: FaultRecord.optional() }),
  z.object({ kind: z.literal("progress"), ...Attempted, progress: Progress }),
  z.object({ kind: z.literal("damaged"), ...Attempted, digest: Sha256, message: z.string().max(4096) }),
  z.object({ kind: z.literal("output"), ...Attempted, stream: z.enum(["stdout", "stderr"]), text: z.string().max(256 * 1024) }),
]);
export type ReportLine = z.infer<typeof ReportLine>;
export const Report = z.object({ lines: z.array(ReportLine).max(1000) });
export type Report = z.infer<typeof Report>;
export const ReportAnswer = z.object({
  accepted: z.int().nonnegative(),
  /** Twins of an older placement, and what came back of retired machines. */
  removeMachines: z.array(z.object({ machineId: Uuid, epoch: z.int().positive() })).default([]),
  /** The hub's clock. */
  at: z.iso.datetime().optional(),
  /** The inventory was gathered before something that the hub knows of: another one is wanted at once. */
  again: z.boolean().optional(),
});
export type ReportAnswer = z.infer<typeof ReportAnswer>;

/** What lies half done on a host: operations that it remembers, and images that were not fetched to their end. */
export const Leftovers = z.object({ operations: z.array(OperationId).max(1000), digests: z.array(Sha256).max(1000) });
export type Leftovers = z.infer<typeof Leftovers>;
/** Which of them nobody wants any more. */
export const LeftoversAnswer = z.object({ ended: z.array(z.string()), unwanted: z.array(z.string()) });
export type LeftoversAnswer = z.infer<typeof LeftoversAnswer>;

/** What one transfer may touch. `begin` draws a new fence: the attempt before this one may no longer publish. */
export const GrantRequest = z.object({
  operationId: OperationId,
  begin: z.boolean().default(false),
  fence: z.int().nonnegative().optional(),
  read: z.array(z.string()).max(256).default([]),
  write: z
    .array(z.object({ key: z.string(), sha256: Sha256, bytes: z.int().nonnegative() }))
    .max(256)
    .default([]),
  sealed: z.boolean().default(false).meta({ description: "Also hand out the operation's sealed input, such as a script." }),
});
export type GrantRequest = z.input<typeof GrantRequest>;
/** Begins attempts of operations that one batch carries out on this host. */
export const BatchRequest = z.object({ batch: z.string(), operationIds: z.array(OperationId).min(1).max(1000) });
export type BatchRequest = z.infer<typeof BatchRequest>;
/** By operation; none for one that has fallen out. */
export const BatchAnswer = z.object({ fences: z.record(z.string(), z.int().nonnegative()) });
export type BatchAnswer = z.infer<typeof BatchAnswer>;
export const GrantedObject = z.object({
  key: z.string(),
  method: z.enum(["GET", "PUT"]),
  url: z.string(),
  headers: z.record(z.string(), z.string()),
  expiresAt: z.iso.datetime(),
});
export type GrantedObject = z.infer<typeof GrantedObject>;
export const GrantAnswer = z.object({
  fence: z.int().nonnegative(),
  objects: z.array(GrantedObject),
  /** Certificates (PEM) that the store of these objects is known by, besides the well-known ones. */
  ca: z.string().nullable().default(null),
  /** What this holder may take of the store at the moment, where the store has limits. */
  share: z
    .object({ storeId: z.string(), bytesPerSecond: z.number().positive().nullable(), requests: z.int().positive().nullable() })
    .nullable()
    .default(null),
  sealed: z.record(z.string(), z.unknown()).nullable().default(null),
});
export type GrantAnswer = z.infer<typeof GrantAnswer>;
