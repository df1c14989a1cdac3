/**
 * What the hosts' reports, and their silence, say about hosts, operations and machines.
 *
 * The one idea: every function here looks at how things are, by the database's clock, and changes only what differs: doing it again changes nothing.
 */
import { eq, sql } from "drizzle-orm";
import { hostStateAt, settledState, type HostState } from "../domain/hosts/rules.ts";
import type { Database } from "./connect.ts";
import { recordEvent } from "./events.ts";
import { observeMachine } from "./machines.ts";
import { hosts, machines, operations } from "./schema.ts";

const silentMs = sql<string | null>`extract(epoch from clock_timestamp() - ${hosts.lastReportAt}) * 1000`;

/** Whether nothing was heard of a host since its last report, whose time is told, by who was there to hear it. */
export type IsSilent = (hostId: string, lastReportAt: Date | null) => boolean;

/** Whether a host has been in this state at every look for as long as it takes to believe it. */
export type IsSteady = (hostId: string, state: HostState) => boolean;

/** Tells each change of a host's state once, and those of one whose reports come now and then not again and again. */
export async function tellHostStates(db: Database, { isSilent, isSteady }: { isSilent: IsSilent; isSteady: IsSteady }): Promise<void> {
  const { id, name, project, toldState: told, lastReportAt } = hosts;
  const rows = await db.select({ id, name, project, told, lastReportAt, silentMs }).from(hosts);
  for (const { id, name, project, told, lastReportAt, silentMs } of rows) {
    const silent = isSilent(id, lastReportAt);
    const now = hostStateAt(silentMs === null ? null : Number(silentMs));
    const steady = isSteady(id, now);
    const state = steady ? now : settledState(told, now);
    if (state === told || (state === "lost" && !silent)) continue;
    await db.transaction(async (tx) => {
      const changed = await tx
        .update(hosts)
        .set({ toldState: state })
        .where(sql`${hosts.id} = ${id} and ${hosts.toldState} = ${told}`)
        .returning({ id: hosts.id });
      if (changed.length === 1)
        await recordEvent(tx, { type: "host", name: `host.${state}`, subjectId: id, project, body: { name, before: told } });
    });
  }
}

export interface ToTell {
  readonly operationId: string;
  readonly workflowId: string;
  readonly hostId: string;
  readonly state: HostState;
}

/** Started operations whose host is lost and that do not know it, or whose host is back and that were told it is lost. */
export async function operationsToTell(db: Database, limit: number): Promise<ToTell[]> {
  const lost = sql`(${hosts.toldState} = 'lost')`;
  const started = sql`${operations.state} not in ('done', 'failed', 'cancelled') and not exists (select 1 from intents i where i.operation_id = ${operations.id})`;
  return db
    .select({ operationId: operations.id, workflowId: operations.workflowId, hostId: hosts.id, state: hosts.toldState })
    .from(operations)
    .innerJoin(hosts, eq(hosts.id, operations.hostId))
    .where(sql`${started} and ${lost} <> ${operations.toldLost}`)
    .limit(limit);
}

export async function markTold(db: Database, operationId: string, lost: boolean): Promise<void> {
  await db.update(operations).set({ toldLost: lost }).where(eq(operations.id, operationId));
}

/** Machines of lost hosts: nobody knows. */
export async function markUnknown(db: Database, limit: number): Promise<number> {
  const gone = sql`exists (select 1 from hosts h where h.id = ${machines.hostId} and h.told_state = 'lost')`;
  const rows = await db
    .select({ id: machines.id })
    .from(machines)
    .where(sql`${machines.retiredAt} is null and ${gone} and ${machines.observed} not in ('making', 'unknown')`)
    .limit(limit);
  for (const { id } of rows) await db.transaction((tx) => observeMachine(tx, id, "unknown"));
  return rows.length;
}
