/**
 * What the hosts' reports, and their silence, say about hosts, operations and machines.
 *
 * The one idea: every function here looks at how things are, by the database's clock, and changes only what differs: doing it again changes nothing.
 */
import { eq, sql } from "drizzle-orm";
import { hostStateAt, type HostState } from "../domain/hosts/rules.ts";
import { ObservedMachine } from "../domain/machines/schema.ts";
import type { Database } from "./connect.ts";
import { recordEvent } from "./events.ts";
import { observeMachine } from "./machines.ts";
import { hosts, machines, observations, operations } from "./schema.ts";

const silentMs = sql<string | null>`extract(epoch from clock_timestamp() - ${hosts.lastReportAt}) * 1000`;

/** Tells each change of a host's state once. */
export async function tellHostStates(db: Database): Promise<void> {
  const rows = await db.select({ id: hosts.id, name: hosts.name, project: hosts.project, told: hosts.toldState, silentMs }).from(hosts);
  for (const { id, name, project, told, silentMs } of rows) {
    const state = hostStateAt(silentMs === null ? null : Number(silentMs));
    if (state === told) continue;
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

/** Brings machines to what their host saw since. What is being made stays so until its operation says otherwise. */
export async function applyObservations(db: Database, limit: number): Promise<number> {
  const rows = await db
    .select({ id: machines.id, facts: observations.facts, project: machines.project })
    .from(machines)
    .innerJoin(observations, sql`${observations.machineId} = ${machines.id} and ${observations.hostId} = ${machines.hostId}`)
    .where(sql`${machines.retiredAt} is null and ${machines.observed} <> 'making' and ${observations.seenAt} > coalesce(${machines.observedAt}, 'epoch')
      and coalesce((${observations.facts}->'mark'->>'epoch')::int, ${machines.epoch}) >= ${machines.epoch} and ${differs}`)
    .limit(limit);
  for (const row of rows) {
    const { state, addresses, macAddress, bundlePath, vcpus, memoryBytes } = ObservedMachine.parse(row.facts);
    const sizes = { ...(vcpus > 0 ? { vcpus } : {}), ...(memoryBytes > 0 ? { memoryBytes } : {}) };
    await db.transaction((tx) => observeMachine(tx, row.id, state, { addresses, macAddress, bundlePath, ...sizes }));
  }
  return rows.length;
}

const differs = sql`(${observations.facts}->>'state' <> ${machines.observed} or ${observations.facts}->'addresses' <> to_jsonb(${machines.addresses})
  or ${observations.facts}->>'macAddress' is distinct from ${machines.macAddress} or ${observations.facts}->>'bundlePath' is distinct from ${machines.bundlePath}
  or (${observations.facts}->>'vcpus')::int not in (0, ${machines.vcpus}) or (${observations.facts}->>'memoryBytes')::bigint not in (0, ${machines.memoryBytes}))`;

/** Machines of lost hosts: nobody knows. */
export async function markUnknown(db: Database, limit: number): Promise<number> {
  const gone = sql`exists (select 1 from hosts h where h.id = ${machines.hostId} and h.told_state = 'lost')`;
  return observeAll(db, sql`${gone} and ${machines.observed} not in ('making', 'unknown')`, "unknown", limit);
}

/** Machines that their host did not see in two reports and that no operation is working on. */
export async function markAbsent(db: Database, limit: number): Promise<number> {
  const held = sql`exists (select 1 from holds h where h.kind = 'machine' and h.subject_id = ${machines.id}::text)`;
  const seen = sql`exists (select 1 from observations o where o.machine_id = ${machines.id} and o.host_id = ${machines.hostId})`;
  // Ten seconds: a report that was gathered before the machine was recorded is not the last word.
  const reported = sql`exists (select 1 from hosts h where h.id = ${machines.hostId} and h.told_state in ('online', 'late')
    and h.last_report_at > coalesce(${machines.observedAt}, ${machines.createdAt}) + interval '10 seconds')`;
  return observeAll(
    db,
    sql`${reported} and not ${seen} and not ${held} and ${machines.observed} not in ('making', 'absent')`,
    "absent",
    limit,
  );
}

async function observeAll(db: Database, which: ReturnType<typeof sql>, observed: "unknown" | "absent", limit: number): Promise<number> {
  const rows = await db
    .select({ id: machines.id })
    .from(machines)
    .where(sql`${machines.retiredAt} is null and ${which}`)
    .limit(limit);
  for (const { id } of rows) await db.transaction((tx) => observeMachine(tx, id, observed));
  return rows.length;
}
