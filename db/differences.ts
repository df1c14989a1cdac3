/**
 * Machines that are not as the hub wants them, or thinks them to be: read, judged, and written as what was decided.
 *
 * The one idea: level-triggered. What is compared is how things are, in an inventory that was gathered after the last act of an operation, and only
 * where no operation is at work; so a difference is somebody else's doing, and looking again changes nothing.
 */
import { and, eq, isNull, sql } from "drizzle-orm";
import { MachineName, ObservedMachine, type Drift } from "../domain/machines/schema.ts";
import { driftOf, judge, repairAgainAfterMs, type DriftKind, type Verdict } from "../domain/machines/truth.ts";
import type { Database } from "./connect.ts";
import { isWorkedOn, followMachine, isFollowed, tellOutside, type MachineRow } from "./following.ts";
import { isNameFree, tellMachine, updateMachine } from "./machines.ts";
import { changePlacement, findPlacement, lockSupplies, type SystemReserve } from "./placements.ts";
import { hosts, machines, observations, placements } from "./schema.ts";

export interface DifferenceAsk {
  readonly hubId: string;
  readonly reserve: SystemReserve;
}
export interface Repair {
  readonly id: string;
  readonly project: string;
  readonly verb: "start" | "resume";
}

/** Machines that differ in any way, by id. */
export async function differingMachines(db: Database, ask: DifferenceAsk, limit: number): Promise<string[]> {
  return (await read(db, ask, sql`true`, limit)).map(({ row }) => row.id);
}

/** Decides about one machine and writes what was decided; answers what is to be repaired. */
export async function settleDifference(db: Database, ask: DifferenceAsk, id: string): Promise<Repair | null> {
  return db.transaction(async (tx) => {
    // The row is the lock of everything that is asked of a machine: from here on no operation begins.
    await tx
      .select({ id: machines.id })
      .from(machines)
      .where(and(eq(machines.id, id), isNull(machines.retiredAt)))
      .for("update");
    const [found] = await read(tx, ask, eq(machines.id, id), 1);
    return found ? write(tx, ask, found) : null;
  });
}

interface Found {
  readonly row: MachineRow;
  readonly facts: ObservedMachine | null;
  readonly bootId: string | null;
  /** The host that has the machine in a newer placement than the row knows. */
  readonly newerOn: string | null;
  readonly repairedLately: boolean;
  readonly nowMs: number;
}

async function read(db: Database, { hubId }: DifferenceAsk, which: ReturnType<typeof sql>, limit: number): Promise<Found[]> {
  // What carries another epoch is another placement of the machine.
  const sameEpoch = sql`(${observations.facts}->'mark' is null or jsonb_typeof(${observations.facts}->'mark') = 'null' or ${observations.facts}->'mark' ? 'machineId'
    or (${observations.facts}->'mark'->>'epoch')::int = ${machines.epoch})`;
  const rows = await db
    .select({
      row: machines,
      facts: observations.facts,
      bootId: hosts.bootId,
      newerOn: newerOn(hubId),
      repairedLately: sql<boolean>`exists (select 1 from operations r where r.machine_id = ${machines.id} and r.actor_id = 'system'
        and r.verb in ('start', 'resume') and r.created_at > clock_timestamp() - make_interval(secs => ${repairAgainAfterMs / 1000}))`,
      nowMs: sql<string>`floor(extract(epoch from clock_timestamp()) * 1000)`,
    })
    .from(machines)
    .innerJoin(hosts, eq(hosts.id, machines.hostId))
    .leftJoin(observations, and(eq(observations.machineId, machines.id), eq(observations.hostId, machines.hostId), sameEpoch))
    .leftJoin(placements, and(eq(placements.machineId, machines.id), eq(placements.epoch, machines.epoch)))
    .where(
      and(
        which,
        isNull(machines.retiredAt),
        sql`${machines.observed} <> 'making' and ${hosts.toldState} in ('online', 'late')`,
        // Gathered after whatever an operation did last: it says how things are.
        sql`${hosts.inventoryAfter} > coalesce(${machines.actedAt}, ${machines.createdAt})`,
        sql`not ${isWorkedOn(machines.id)}`,
        sql`(${differs} or ${newerOn(hubId)} is not null)`,
      ),
    )
    .limit(limit);
  return rows.map((found) => ({ ...found, facts: found.facts && ObservedMachine.parse(found.facts), nowMs: Number(found.nowMs) }));
}

const newerOn = (hubId: string) => sql<string | null>`(select nh.name from observations n join hosts nh on nh.id = n.host_id
  where n.machine_id = ${machines.id} and n.facts->'mark'->>'hubId' = ${hubId} and not n.facts->'mark' ? 'machineId'
    and (n.facts->'mark'->>'epoch')::int > ${machines.epoch} order by (n.facts->'mark'->>'epoch')::int desc limit 1)`;

const said = (name: string) => sql`${observations.facts}->>${sql.raw(`'${name}'`)}`;
const held = sql`${said("state")} in ('running', 'stopped', 'suspended', 'paused')`;
const rests = sql`(${observations.machineId} is null or ${said("unregistered")} = 'true' or ${said("state")} in ('stopped', 'suspended', 'invalid'))`;
const differs = sql`(jsonb_array_length(${machines.drift}) > 0
  or ${observations.machineId} is null or ${said("unregistered")} = 'true' or ${said("state")} = 'invalid'
  or ${said("state")} <> ${machines.observed}
  or ${said("name")} <> ${machines.name}
  or (${held} and ${said("state")} <> ${machines.desired} and ${machines.desired} <> 'absent')
  or (${said("state")} = ${machines.desired} and ${machines.seenBoot} is distinct from ${hosts.bootId})
  or (${placements.runs} and ${rests}) or (not ${placements.runs} and not ${rests}))`;

async function write(tx: Database, ask: DifferenceAsk, found: Found): Promise<Repair | null> {
  const { row, facts, bootId } = found;
  const followed = facts && !facts.unregistered ? facts : null;
  if (!isFollowed(row, followed)) await followMachine(tx, row, followed, { workedOn: false });
  const verdict = judge({ name: row.name, desired: row.desired, seenBoot: row.seenBoot, bootId, seen: facts });
  const { believe, settled, repair } = verdict;
  if (believe !== null) {
    await tellOutside(tx, row, { desired: believe });
    await updateMachine(tx, row.id, { desired: believe, seenBoot: bootId });
  } else if (settled && row.seenBoot !== bootId) await updateMachine(tx, row.id, { seenBoot: bootId });
  const crowded = await reserve(tx, ask, row, verdict);
  const refusedName = verdict.renamed !== null && !(await followName(tx, row, verdict.renamed));
  const drift = driftNow(found, verdict, { crowded, refusedName });
  await writeDrift(tx, row, drift);
  if (repair === null || found.repairedLately || isRecent(drift, found.nowMs)) return null;
  return { id: row.id, project: row.project, verb: repair };
}

/** Takes or gives back processor, memory and slot; answers whether the host has less than its machines take. */
async function reserve(tx: Database, ask: DifferenceAsk, row: MachineRow, { runs }: Verdict): Promise<boolean> {
  const placement = await findPlacement(tx, row.id);
  const woke = runs && placement?.runs === false;
  if (placement && placement.runs !== runs) await changePlacement(tx, row.id, { runs });
  if (!runs || row.hostId === null || !(woke || row.drift.some(({ kind }) => kind === "no_room"))) return false;
  const [supply] = await lockSupplies(tx, ask.reserve, [row.hostId]);
  return supply !== undefined && (supply.freeVcpus < 0 || supply.freeMemoryBytes < 0 || supply.freeMacosSlots < 0);
}

/** `false`: another machine has the name, or ours cannot be called so. */
async function followName(tx: Database, row: MachineRow, name: string): Promise<boolean> {
  if (!MachineName.safeParse(name).success || !(await isNameFree(tx, row.id, name))) return false;
  await updateMachine(tx, row.id, { name });
  await tellOutside(tx, row, { name });
  return true;
}

function driftNow(
  { row, facts, newerOn, nowMs }: Found,
  verdict: Verdict,
  { crowded, refusedName }: { crowded: boolean; refusedName: boolean },
): Drift[] {
  const kept = row.drift.filter(({ kind }) => kind === "not_repaired" && verdict.repair !== null);
  const { id, name } = row;
  const about = { id, name, seenName: facts?.name ?? name, bundlePath: facts?.bundlePath ?? row.bundlePath, host: newerOn };
  const kinds: Exclude<DriftKind, "not_repaired">[] = [
    ...(newerOn === null ? [] : ["newer" as const]),
    ...(verdict.drift === null || (verdict.drift === "absent" && newerOn !== null) ? [] : [verdict.drift]),
    ...(refusedName ? ["name" as const] : []),
    ...(crowded ? ["no_room" as const] : []),
  ];
  const now = kinds.map((kind) => ({ kind, ...driftOf(kind, about) }));
  const known = (one: Omit<Drift, "since">) => row.drift.find(({ kind, message }) => kind === one.kind && message === one.message);
  return [...now.map((one) => known(one) ?? { ...one, since: new Date(nowMs).toISOString() }), ...kept];
}

async function writeDrift(tx: Database, row: MachineRow, drift: Drift[]): Promise<void> {
  if (JSON.stringify(drift) === JSON.stringify(row.drift)) return;
  await updateMachine(tx, row.id, { drift });
  const kinds = drift.map(({ kind }) => kind);
  await tellMachine(tx, row, "machine.drifted", {
    drift: kinds,
    before: row.drift.map(({ kind }) => kind),
    messages: drift.map(({ message }) => message),
  });
}

const isRecent = (drift: readonly Drift[], nowMs: number): boolean =>
  drift.some(({ kind, since }) => kind === "not_repaired" && nowMs - Date.parse(since) < repairAgainAfterMs);

/** The repair was refused: told on the machine, and tried again later. */
export async function noteUnrepaired(db: Database, id: string, message: string, remedy: string): Promise<void> {
  await db.transaction(async (tx) => {
    const [row] = await tx
      .select()
      .from(machines)
      .where(and(eq(machines.id, id), isNull(machines.retiredAt)))
      .for("update");
    if (!row) return;
    const others = row.drift.filter(({ kind }) => kind !== "not_repaired");
    await writeDrift(tx, row, [...others, { kind: "not_repaired", message, remedy, since: new Date().toISOString() }]);
  });
}
