/**
 * Pools: machines that are ready before they are asked for, and their leases.
 *
 * The one idea: a pool says what there should be, never what to do; whatever differs from it is made or retired, and what keeps it from being so is told as data.
 */
import { z } from "zod";
import { ImageReference } from "../catalog/schema.ts";
import { HostId, MachineId, Sha256, Uuid } from "../ids.ts";
import { Machine } from "../machines/schema.ts";
import { FaultRecord, Operation } from "../operations/schema.ts";
import { idleStates, shortfalls, standings } from "./rules.ts";

/** A machine's name is its pool's and eight more characters, and both stand in addresses and labels. */
export const PoolName = z
  .string()
  .trim()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, "name starts with a letter or digit and holds at most 63 letters, digits and . _ - only")
  .meta({ id: "PoolName" });

/** A thousand machines are more than one look at a pool should read. */
const most = 1_000;
const daySeconds = 86_400;
const words = z.array(z.string().trim().min(1).max(128)).max(64);
const Wanted = {
  image: ImageReference,
  vcpus: z.int().positive().max(512).nullable().meta({ description: "Null leaves it to the image." }),
  memoryBytes: z.int().positive().nullable().meta({ description: "Null leaves it to the image." }),
  hostLabels: words.meta({ description: "Any of these labels of a host is enough." }),
  labels: z.record(z.string().min(1).max(128), z.string().max(256)).meta({ description: "Of its machines, which also get `pool`." }),
  minimumIdle: z.int().min(0).max(most).meta({ description: "So many wait to be leased." }),
  maximum: z.int().min(1).max(most).meta({ description: "So many machines at most, leased and ending ones included." }),
  leaseSeconds: z
    .int()
    .min(1)
    .max(365 * daySeconds)
    .meta({ description: "How long a lease lasts that says nothing else, and the longest that may be asked for." }),
  idleState: z.enum(idleStates).meta({ description: "Suspended machines hold no CPU and memory while they wait; a lease resumes one." }),
  requiredRoles: words.meta({ description: "Any of these is enough to see the pool and to lease from it; empty asks for none." }),
  requiredClaims: words.meta({ description: "Any of these is enough; its owner needs none." }),
};

const fits = ({ minimumIdle, maximum }: { minimumIdle?: number | undefined; maximum?: number | undefined }) =>
  minimumIdle === undefined || maximum === undefined || minimumIdle <= maximum;
export const fitsWords = { message: "minimumIdle is more than maximum", path: ["minimumIdle"] };

export const NewPool = z
  .object({
    ...Wanted,
    name: PoolName,
    vcpus: Wanted.vcpus.default(null),
    memoryBytes: Wanted.memoryBytes.default(null),
    hostLabels: Wanted.hostLabels.default([]),
    labels: Wanted.labels.default({}),
    minimumIdle: Wanted.minimumIdle.default(1),
    maximum: Wanted.maximum.default(10),
    leaseSeconds: Wanted.leaseSeconds.default(3_600),
    idleState: Wanted.idleState.default("running"),
    requiredRoles: words.default([]),
    requiredClaims: words.default([]),
  })
  .refine(fits, fitsWords)
  .meta({ id: "NewPool" });
export type NewPool = z.infer<typeof NewPool>;

export const PoolChange = z.object(Wanted).partial().refine(fits, fitsWords).meta({ id: "PoolChange" });
export type PoolChange = z.infer<typeof PoolChange>;

const counted = z.int().nonnegative();
export const Shortfall = z
  .object({ code: z.enum(shortfalls), message: z.string(), until: z.date().nullable(), fault: FaultRecord.nullable() })
  .meta({ id: "Shortfall", description: "Why fewer machines are idle than the pool should have." });
export type Shortfall = z.infer<typeof Shortfall>;

/** The part of a pool that its row holds. */
export const PoolRow = z.object({
  id: Uuid,
  project: z.string(),
  name: z.string(),
  owner: z.string(),
  ...Wanted,
  state: z.enum(["ready", "ending"]).meta({ description: "`ending`: it was deleted; its row goes with its last machine." }),
  createdBy: z.string(),
  createdAt: z.date(),
  updatedAt: z.date(),
});
export type PoolRow = z.infer<typeof PoolRow>;

export const Pool = z
  .object({
    ...PoolRow.shape,
    idle: counted,
    making: counted.meta({ description: "Those that are on their way to be idle." }),
    leased: counted,
    ending: counted,
    shortfalls: z.array(Shortfall),
  })
  .meta({ id: "Pool" });
export type Pool = z.infer<typeof Pool>;

export const PooledMachine = z
  .object({
    machineId: MachineId,
    name: z.string(),
    hostId: HostId.nullable(),
    standing: z.enum(standings),
    reason: z.string().nullable().meta({ description: "Why it ends, or why nobody can lease it." }),
    image: z.string().nullable(),
    digest: Sha256.nullable(),
    isCurrent: z.boolean().meta({ description: "Whether it is made as the pool and its image are now." }),
    addresses: z.array(z.string()),
    leaseId: Uuid.nullable(),
    leasedBy: z.string().nullable(),
    leasedAt: z.date().nullable(),
    expiresAt: z.date().nullable(),
    createdAt: z.date(),
  })
  .meta({ id: "PooledMachine" });
export type PooledMachine = z.infer<typeof PooledMachine>;

export const PoolDetail = z.object({ ...Pool.shape, machines: z.array(PooledMachine) }).meta({ id: "PoolDetail" });
export type PoolDetail = z.infer<typeof PoolDetail>;

export const NewLease = z
  .object({
    ttlSeconds: z
      .int()
      .positive()
      .optional()
      .meta({ description: "The machine is retired after so many seconds; the pool's own time where it is absent or longer." }),
  })
  .meta({ id: "NewLease" });
export type NewLease = z.infer<typeof NewLease>;

export const Lease = z
  .object({
    id: Uuid,
    pool: z.string(),
    leasedBy: z.string(),
    leasedAt: z.date(),
    expiresAt: z.date().nullable().meta({ description: "The machine's own; null where somebody lets it live." }),
    machine: Machine,
    operation: Operation.nullable().meta({ description: "What resumes a suspended machine: wait for it before using the machine." }),
  })
  .meta({ id: "Lease" });
export type Lease = z.infer<typeof Lease>;
