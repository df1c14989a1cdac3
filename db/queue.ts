/**
 * Machines that wait for room on a host.
 *
 * The one idea: whoever waits says so in its own row, so whoever reads the machine reads why, and a machine that has ended waits no more.
 */
import { and, count, eq, isNotNull, isNull, sql } from "drizzle-orm";
import { z } from "zod";
import { demandOf } from "../domain/hosts/demand.ts";
import type { Waiting } from "../domain/hosts/queue.ts";
import { profiles } from "../domain/hosts/rules.ts";
import { Pending } from "../domain/machines/schema.ts";
import type { Database } from "./connect.ts";
import { imageVersions, machines, operations, placements } from "./schema.ts";

export interface WaitingMachine extends Waiting {
  readonly pending: Pending;
  readonly workflowId: string;
}

/** What a request for a machine says of hosts, as its operation keeps it. */
export const Wished = z.object({
  hostId: z.string().nullable(),
  hostLabels: z.array(z.string()),
  start: z.boolean(),
  priority: z.number().default(0),
  tolerates: z.array(z.string()).default([]),
  apartFrom: z.record(z.string(), z.string()).default({}),
  profile: z.enum(profiles).default("spread"),
});

/** All of them, in no order. */
export async function waitingMachines(db: Database): Promise<WaitingMachine[]> {
  const { id: machineId, project, labels, pending, vcpus, memoryBytes, diskBytes, kind } = machines;
  const rows = await db
    .select({
      machineId,
      project,
      labels,
      pending,
      size: { vcpus, memoryBytes, diskBytes, kind },
      image: { architecture: imageVersions.architecture, digest: imageVersions.digest },
      input: operations.input,
      workflowId: operations.workflowId,
    })
    .from(machines)
    .innerJoin(operations, and(eq(operations.machineId, machines.id), eq(operations.verb, "provision"), eq(operations.state, "running")))
    .innerJoin(imageVersions, eq(imageVersions.id, machines.imageVersionId))
    .where(and(isNotNull(machines.pending), isNull(machines.retiredAt)));
  return rows.map(({ pending: told, size, image, input, ...row }) => {
    const wish = Wished.parse(input);
    const known = Pending.parse(told);
    return { ...row, pending: known, priority: wish.priority, sinceMs: Date.parse(known.since), demand: demandOf(size, image, wish) };
  });
}

/** How many machines each project has on hosts. */
export async function heldByProjects(db: Database): Promise<Map<string, number>> {
  const rows = await db
    .select({ project: machines.project, held: count() })
    .from(placements)
    .innerJoin(machines, eq(machines.id, placements.machineId))
    .groupBy(machines.project);
  return new Map(rows.map(({ project, held }) => [project, held]));
}

/** Writes why the machine still waits; nothing where it waits no more. */
export async function notePending(db: Database, machineId: string, pending: Pending): Promise<void> {
  await db
    .update(machines)
    .set({ pending, updatedAt: sql`now()` })
    .where(and(eq(machines.id, machineId), isNotNull(machines.pending), isNull(machines.retiredAt)));
}
