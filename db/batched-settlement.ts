/**
 * How the machines of a batch are recorded as made: all that one host made in one transaction, one statement of each kind.
 *
 * The one idea: it makes true for many what the record and the settlement of one machine make true; what is said here of a machine is said there too.
 */
import { inArray, sql } from "drizzle-orm";
import type { Operation } from "../domain/operations/schema.ts";
import { recordAudits } from "./audit.ts";
import type { Database } from "./connect.ts";
import { recordEvents, wakeListeners, type NewEvent } from "./events.ts";
import { holds, intents } from "./schema.ts";
import { writeStepsOfAll, type ToldStep } from "./steps.ts";

export interface MadeOf {
  readonly operation: Operation;
  readonly requestId: string | null;
  readonly machineId: string;
  readonly name: string;
  readonly hostId: string;
  readonly before: string;
  readonly runs: boolean;
  readonly seen: {
    readonly macAddress: string | null;
    readonly bundlePath: string;
    readonly diskBytes: number;
    readonly addresses: string[];
  };
  readonly result: Readonly<Record<string, unknown>>;
}

/** The operations are locked, under way and of the batch; their machines are locked. */
export async function settleMade(tx: Database, made: readonly MadeOf[], steps: readonly ToldStep[]): Promise<void> {
  if (made.length === 0) return;
  const ids = made.map(({ operation }) => operation.id);
  await writeMachines(tx, made);
  const ended = made.map(({ operation: { id }, result }) => ({ id, result }));
  await tx.execute(sql`
    update operations o set state = 'done', fault = null, result = t.result, sealed = null, ended_at = now(), started_at = coalesce(o.started_at, now())
    from jsonb_to_recordset(${JSON.stringify(ended)}::jsonb) as t(id uuid, result jsonb) where o.id = t.id`);
  await writeStepsOfAll(tx, ids, steps);
  await tx.delete(holds).where(inArray(holds.operationId, ids));
  await tx.delete(intents).where(inArray(intents.operationId, ids));
  await recordEvents(tx, made.flatMap(eventsOf));
  await recordAudits(
    tx,
    made.map(({ operation: { id, actor, verb, subject }, requestId }) => ({
      actor,
      action: `${verb}.settled`,
      subject,
      outcome: "done",
      operationId: id,
      requestId,
    })),
  );
  await wakeListeners(tx);
}

async function writeMachines(tx: Database, made: readonly MadeOf[]): Promise<void> {
  const rows = JSON.stringify(made.map(({ machineId, runs, seen }) => ({ machineId, runs, ...seen })));
  await tx.execute(sql`
    update machines m set observed = case when t.runs then 'running' else 'stopped' end, observed_at = clock_timestamp(), acted_at = clock_timestamp(),
      seen_boot = (select h.boot_id from hosts h where h.id = m.host_id), mac_address = t."macAddress", bundle_path = t."bundlePath",
      disk_bytes = t."diskBytes", addresses = array(select jsonb_array_elements_text(t.addresses)), updated_at = now()
    from jsonb_to_recordset(${rows}::jsonb)
      as t("machineId" uuid, runs boolean, "macAddress" text, "bundlePath" text, "diskBytes" bigint, addresses jsonb) where m.id = t."machineId"`);
  await tx.execute(sql`
    update placements p set runs = t.runs, disk_bytes = t."diskBytes"
    from jsonb_to_recordset(${rows}::jsonb) as t("machineId" uuid, runs boolean, "diskBytes" bigint) where p.machine_id = t."machineId"`);
}

function eventsOf({ operation, machineId, name, hostId, before, runs }: MadeOf): NewEvent[] {
  const { id, project, verb, subject } = operation;
  const observed = runs ? "running" : "stopped";
  const machine = { type: "machine", subjectId: machineId, project } as const;
  return [
    ...(before === observed ? [] : [{ ...machine, name: "machine.observed", body: { name, observed, before } }]),
    { ...machine, name: "machine.ready", body: { name, hostId } },
    { type: "operation", name: "operation.done", subjectId: id, operationId: id, project, body: { verb, subject } },
  ];
}
