/**
 * Placements: which host a machine is on and what it holds there, and what hosts have left.
 *
 * The one idea: whoever reads what a host has left holds its row until the reservation is committed, so two placements never count on the same room.
 */
import { and, asc, desc, eq, inArray, sql } from "drizzle-orm";
import { hostStateAt, type HostState, type Supply } from "../domain/hosts/rules.ts";
import { CachedImage, HostFacts } from "../domain/hosts/schema.ts";
import { holdsProcessor, macosSlotsPerHost, machineStates } from "../domain/machines/rules.ts";
import type { Database } from "./connect.ts";
import { hosts, placements } from "./schema.ts";

export type PlacementRow = Omit<typeof placements.$inferSelect, "createdAt">;

/** What a host holds back for itself. */
export interface SystemReserve {
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
}

export async function findPlacement(db: Database, machineId: string): Promise<PlacementRow | null> {
  const [row] = await db.select().from(placements).where(eq(placements.machineId, machineId)).orderBy(desc(placements.epoch)).limit(1);
  return row ?? null;
}

export async function insertPlacement(db: Database, row: PlacementRow): Promise<void> {
  await db.insert(placements).values(row);
}

export async function changePlacement(
  db: Database,
  machineId: string,
  changes: Partial<Pick<PlacementRow, "runs" | "vcpus" | "memoryBytes" | "diskBytes">>,
): Promise<void> {
  if (Object.keys(changes).length === 0) return;
  await db.update(placements).set(changes).where(eq(placements.machineId, machineId));
}

/** Gives back what one placement held, or all of the machine's without an epoch. */
export async function deletePlacement(db: Database, machineId: string, epoch?: number): Promise<void> {
  await db
    .delete(placements)
    .where(and(eq(placements.machineId, machineId), epoch === undefined ? undefined : eq(placements.epoch, epoch)));
}

interface Usage {
  readonly [column: string]: unknown;
  readonly hostId: string;
  readonly vcpus: string;
  readonly memoryBytes: string;
  readonly diskBytes: string;
  readonly macos: string;
}

/** Locks the hosts (all, or the named ones; always in one order, so that nobody waits in a circle) and answers what each has left. */
export async function lockSupplies(tx: Database, reserve: SystemReserve, hostIds?: readonly string[]): Promise<Supply[]> {
  const wanted = hostIds === undefined ? undefined : inArray(hosts.id, [...hostIds]);
  const silentMs = sql<string | null>`extract(epoch from clock_timestamp() - ${hosts.lastReportAt}) * 1000`;
  const locked = await tx.select({ host: hosts, silentMs }).from(hosts).where(wanted).orderBy(asc(hosts.id)).for("no key update");
  const ids = locked.map(({ host }) => host.id);
  const used = ids.length === 0 ? [] : [...(await placed(tx, ids)), ...(await foreign(tx, ids))];
  return locked.flatMap(({ host, silentMs }) => {
    const facts = HostFacts.nullable().parse(host.facts);
    if (!facts) return [];
    const sum = (column: "vcpus" | "memoryBytes" | "diskBytes" | "macos") =>
      used.filter(({ hostId }) => hostId === host.id).reduce((total, row) => total + Number(row[column]), 0);
    const left = {
      freeVcpus: Math.floor((facts.cpus - reserve.cpus) * host.overcommitCpu) - sum("vcpus"),
      freeMemoryBytes: Math.floor((facts.memoryBytes - reserve.memoryBytes) * host.overcommitMemory) - sum("memoryBytes"),
      freeDiskBytes: facts.freeBytes - reserve.diskBytes - sum("diskBytes"),
      freeMacosSlots: macosSlotsPerHost - sum("macos"),
    };
    const { id, name, enabled, labels } = host;
    const cached = CachedImage.array()
      .parse(host.cached)
      .map(({ digest }) => digest);
    return [
      {
        id,
        name,
        enabled,
        labels,
        architecture: facts.architecture,
        state: stateOf(host.toldState, silentMs),
        cached,
        ...left,
      },
    ];
  });
}

/** Lost is only who was told to be: silence alone may be the hub's own. */
function stateOf(told: HostState, silentMs: string | null): HostState {
  const state = hostStateAt(silentMs === null ? null : Number(silentMs));
  return state === "lost" && told !== "lost" ? "late" : state;
}

/** A machine of ours counts when its placement says so or its host saw it run; its disk counts until it is on the disk that the host measures. */
async function placed(tx: Database, hostIds: readonly string[]): Promise<Usage[]> {
  const rows = await tx.execute<Usage>(sql`
    select p.host_id as "hostId", sum(p.vcpus) filter (where p.counts) as vcpus, sum(p.memory_bytes) filter (where p.counts) as "memoryBytes",
           sum(p.disk_bytes) filter (where p.making) as "diskBytes", count(*) filter (where p.counts and p.macos) as macos
    from (select q.*, q.runs or coalesce(m.observed in ${observedToHold}, false) as counts, m.observed = 'making' as making
          from placements q left join machines m on m.id = q.machine_id and m.retired_at is null) p
    where p.host_id in ${hostIds} group by p.host_id`);
  return [...rows];
}

/** Machines that the host saw running and that have no placement there: somebody else's, or remains of ours. */
async function foreign(tx: Database, hostIds: readonly string[]): Promise<Usage[]> {
  const rows = await tx.execute<Usage>(sql`
    select o.host_id as "hostId", sum((o.facts->>'vcpus')::bigint) as vcpus, sum((o.facts->>'memoryBytes')::bigint) as "memoryBytes",
           0 as "diskBytes", count(*) filter (where o.facts->>'kind' = 'macvm') as macos
    from observations o
    where o.host_id in ${hostIds} and o.facts->>'state' in ${observedToHold}
      and not exists (select 1 from placements p where p.machine_id = o.machine_id and p.host_id = o.host_id)
    group by o.host_id`);
  return [...rows];
}

/** States that a host reports of a machine that holds its processor. */
const observedToHold = machineStates.filter((state) => holdsProcessor(state) && state !== "making" && state !== "unknown");
