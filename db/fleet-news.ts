/** What hosts report of each moment and nobody keeps: how much they use, and for how long their machines have been up. */
import { and, eq, isNull, sql } from "drizzle-orm";
import { lateAfterMs } from "../domain/hosts/rules.ts";
import { HostUsage } from "../domain/hosts/schema.ts";
import type { Database } from "./connect.ts";
import { hosts, machines, observations } from "./schema.ts";

/** Of hosts that report in time: of others nobody knows it. */
export async function reportedUsages(db: Database): Promise<Array<{ id: string; project: string; usage: HostUsage }>> {
  const rows = await db
    .select({ id: hosts.id, project: hosts.project, usage: sql<unknown>`${hosts.facts}->'usage'` })
    .from(hosts)
    .where(sql`${hosts.lastReportAt} > now() - ${lateAfterMs} * interval '1 millisecond' and ${hosts.facts}->'usage' is not null`);
  return rows.flatMap(({ usage, ...host }) => {
    const read = HostUsage.safeParse(usage);
    return read.success ? [{ ...host, usage: read.data }] : [];
  });
}

/** Of our machines that run, as Parallels Desktop says it. */
export async function reportedUptimes(db: Database) {
  const { id, hostId, project, owner, requiredRoles, requiredClaims } = machines;
  return db
    .select({ id, hostId, project, owner, requiredRoles, requiredClaims, uptime: sql<string>`${observations.facts}->'raw'->>'Uptime'` })
    .from(machines)
    .innerJoin(observations, and(eq(observations.machineId, machines.id), eq(observations.hostId, machines.hostId)))
    .where(and(isNull(machines.retiredAt), eq(machines.observed, "running"), sql`${observations.facts}->'raw'->>'Uptime' is not null`));
}
