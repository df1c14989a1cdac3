/**
 * What a drain has to end on a host, and what else is there.
 *
 * The one idea: a machine counts by what its host saw and by what is placed there, so one that is still being made is waited for too.
 */
import { and, asc, eq, isNull, sql } from "drizzle-orm";
import type { DrainPolicy } from "../domain/hosts/rules.ts";
import { holdsProcessor, machineStates } from "../domain/machines/rules.ts";
import type { Database } from "./connect.ts";
import { machines, observations } from "./schema.ts";

export interface DrainedMachine {
  readonly id: string;
  readonly name: string;
  readonly project: string;
}

const living = (hostId: string) => and(eq(machines.hostId, hostId), isNull(machines.retiredAt));
const holding = machineStates.filter(holdsProcessor);

/** Retiring ends every machine; otherwise those that rest on the disk may stay there. */
export async function drainedMachines(db: Database, hostId: string, policy: DrainPolicy): Promise<DrainedMachine[]> {
  const { id, name, project } = machines;
  const wanted = policy === "retire" ? living(hostId) : and(living(hostId), sql`${machines.observed} in ${holding}`);
  return db.select({ id, name, project }).from(machines).where(wanted).orderBy(asc(name));
}

/** Names of all machines of ours that are on the host. */
export async function livingOn(db: Database, hostId: string): Promise<string[]> {
  const rows = await db.select({ name: machines.name }).from(machines).where(living(hostId)).orderBy(asc(machines.name));
  return rows.map(({ name }) => name);
}

/** How many machines the host saw running that are in no row of ours. */
export function foreignOn(db: Database, hostId: string): Promise<number> {
  const ours = sql`exists (select 1 from machines m where m.id = ${observations.machineId} and m.retired_at is null)`;
  return db.$count(observations, sql`${observations.hostId} = ${hostId} and ${observations.facts}->>'state' in ${holding} and not ${ours}`);
}
