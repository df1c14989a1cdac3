/**
 * Placements: which host a machine is on and what it holds there, and what hosts have left.
 *
 * The one idea: whoever reserves room on a host holds its row from the look at what it has left until the commit, so two placements never count on the same
 * room.
 */
import { and, asc, desc, eq, inArray, isNotNull, sql } from "drizzle-orm";
import { hostStateAt, type HostState, type Labels, type Supply } from "../domain/hosts/rules.ts";
import { HostFacts } from "../domain/hosts/schema.ts";
import { holdsProcessor, macosSlotsPerHost, machineStates } from "../domain/machines/rules.ts";
import type { Database } from "./connect.ts";
import { cordonNow } from "./hosts.ts";
import { hosts, machines, placements } from "./schema.ts";

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

/** The standing ones of several machines. */
export async function findPlacements(db: Database, machineIds: readonly string[]): Promise<PlacementRow[]> {
  return db
    .select()
    .from(placements)
    .where(inArray(placements.machineId, [...machineIds]));
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

/** Which hosts, all without a list; `withLabels`: with the labels of the machines there. */
export interface SupplyAsk {
  readonly hostIds?: readonly string[];
  readonly withLabels?: boolean;
}

/** What hosts that have told of themselves have left. True until it is used only of hosts that the caller has locked. */
export async function readSupplies(
  tx: Database,
  reserve: SystemReserve,
  { hostIds, withLabels = false }: SupplyAsk = {},
): Promise<Supply[]> {
  const told = and(isNotNull(hosts.facts), hostIds === undefined ? undefined : inArray(hosts.id, [...hostIds]));
  const found = await tx.select(supplyColumns).from(hosts).where(told).orderBy(asc(hosts.id));
  const ids = found.map(({ id }) => id);
  const [own, others, carried] =
    ids.length === 0 ? [[], [], []] : await Promise.all([placed(tx, ids), foreign(tx, ids), withLabels ? labelsOn(tx, ids) : []]);
  const usedBy = Map.groupBy([...own, ...others], ({ hostId }) => hostId);
  const carriedBy = Map.groupBy(carried, ({ hostId }) => hostId);
  return found.map(({ facts, silentMs, toldState, overcommitCpu, overcommitMemory, ...host }) => {
    const rows = usedBy.get(host.id) ?? [];
    const sum = (column: "vcpus" | "memoryBytes" | "diskBytes" | "macos") => rows.reduce((total, row) => total + Number(row[column]), 0);
    const { cpus, memoryBytes, freeBytes, architecture } = HostFacts.pick({
      cpus: true,
      memoryBytes: true,
      freeBytes: true,
      architecture: true,
    }).parse(facts);
    return {
      ...host,
      architecture,
      carries: (carriedBy.get(host.id) ?? []).map(({ labels }) => labels),
      state: stateOf(toldState, silentMs),
      freeVcpus: Math.floor((cpus - reserve.cpus) * overcommitCpu) - sum("vcpus"),
      freeMemoryBytes: Math.floor((memoryBytes - reserve.memoryBytes) * overcommitMemory) - sum("memoryBytes"),
      freeDiskBytes: freeBytes - reserve.diskBytes - sum("diskBytes"),
      freeMacosSlots: macosSlotsPerHost - sum("macos"),
    };
  });
}

/** No more of the facts and of the cache than a placement asks for: both may be long. */
const supplyColumns = {
  id: hosts.id,
  name: hosts.name,
  enabled: hosts.enabled,
  cordon: cordonNow,
  labels: hosts.labels,
  taints: hosts.taints,
  overcommitCpu: hosts.overcommitCpu,
  overcommitMemory: hosts.overcommitMemory,
  toldState: hosts.toldState,
  silentMs: sql<string | null>`extract(epoch from clock_timestamp() - ${hosts.lastReportAt}) * 1000`,
  facts: sql`jsonb_build_object('cpus', ${hosts.facts}->'cpus', 'memoryBytes', ${hosts.facts}->'memoryBytes', 'freeBytes', ${hosts.facts}->'freeBytes', 'architecture', ${hosts.facts}->'architecture')`,
  cached: sql<string[]>`array(select one->>'digest' from jsonb_array_elements(${hosts.cached}) one)`,
};

const labelsOn = (tx: Database, hostIds: readonly string[]): Promise<{ hostId: string; labels: Labels }[]> =>
  tx
    .select({ hostId: placements.hostId, labels: machines.labels })
    .from(placements)
    .innerJoin(machines, eq(machines.id, placements.machineId))
    .where(inArray(placements.hostId, [...hostIds]));

/** Locks the named hosts, always in one order, so that nobody waits in a circle, and answers what each has left. */
export async function lockSupplies(
  tx: Database,
  reserve: SystemReserve,
  hostIds: readonly string[],
  { withLabels = false }: Pick<SupplyAsk, "withLabels"> = {},
): Promise<Supply[]> {
  await tx
    .select({ id: hosts.id })
    .from(hosts)
    .where(inArray(hosts.id, [...hostIds]))
    .orderBy(asc(hosts.id))
    .for("no key update");
  return readSupplies(tx, reserve, { hostIds, withLabels });
}

/** Locks the first of these hosts that nobody else holds, or waits for the very first. */
export async function lockOneOf(tx: Database, hostIds: readonly string[]): Promise<string> {
  const [first = ""] = hostIds;
  const place = sql`array_position(${sql.param([...hostIds])}::uuid[], ${hosts.id})`;
  const [free] = await tx
    .select({ id: hosts.id })
    .from(hosts)
    .where(inArray(hosts.id, [...hostIds]))
    .orderBy(place)
    .limit(1)
    .for("no key update", { skipLocked: true });
  if (free) return free.id;
  await tx.select({ id: hosts.id }).from(hosts).where(eq(hosts.id, first)).for("no key update");
  return first;
}

interface Usage {
  readonly [column: string]: unknown;
  readonly hostId: string;
  readonly vcpus: string;
  readonly memoryBytes: string;
  readonly diskBytes: string;
  readonly macos: string;
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

/** Machines that the host saw running and that have no placement there: somebody else's, or remains of ours. One that has ended since it looked is neither. */
async function foreign(tx: Database, hostIds: readonly string[]): Promise<Usage[]> {
  const rows = await tx.execute<Usage>(sql`
    select o.host_id as "hostId", sum((o.facts->>'vcpus')::bigint) as vcpus, sum((o.facts->>'memoryBytes')::bigint) as "memoryBytes",
           0 as "diskBytes", count(*) filter (where o.facts->>'kind' = 'macvm') as macos
    from observations o
    where o.host_id in ${hostIds} and o.facts->>'state' in ${observedToHold}
      and not exists (select 1 from placements p where p.machine_id = o.machine_id and p.host_id = o.host_id)
      and not exists (select 1 from machines m join hosts h on h.id = m.host_id
                      where m.id = o.machine_id and m.host_id = o.host_id and m.retired_at >= h.inventory_after)
    group by o.host_id`);
  return [...rows];
}

/** States that a host reports of a machine that holds its processor. */
const observedToHold = machineStates.filter((state) => holdsProcessor(state) && state !== "making" && state !== "unknown");
