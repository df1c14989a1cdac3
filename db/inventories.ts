/**
 * Takes a host's inventory: what it is, what it has, which of our machines are there and in which state.
 *
 * The one idea: an inventory is the whole truth of one host at one moment, so rows are compared with it, and what it does not name is absent there.
 */
import { and, eq, inArray, isNull, not, notInArray, sql } from "drizzle-orm";
import { FaultError } from "../domain/errors.ts";
import type { ReportAnswer, ReportLine } from "../domain/hosts/schema.ts";
import type { ObservedMachine } from "../domain/machines/schema.ts";
import { standingOf } from "../domain/machines/truth.ts";
import type { Database } from "./connect.ts";
import { recordEvent } from "./events.ts";
import { followMachine, isFollowed, isWorkedOn } from "./following.ts";
import { recordSeen } from "./observed.ts";
import { hosts, machines, observations } from "./schema.ts";
import { tellStandings } from "./unclaimed.ts";

export type Inventory = Extract<ReportLine, { kind: "inventory" }>;
type HostRow = typeof hosts.$inferSelect;
type Removals = ReportAnswer["removeMachines"];

export interface InventoryAsk {
  readonly hostId: string;
  readonly hubId: string;
  /** How long a session must have been silent before another process may take its place. */
  readonly sessionSilentMs: number;
}

/** How long a host of the release before, which does not say what its inventory was gathered after, may have taken to gather it. */
const gatheredWithinMs = 10_000;
/** One that waited longer to be sent, as after an outage, is true of a moment long gone. */
const oldAfterMs = 15_000;

export type InventoryAnswer = Pick<ReportAnswer, "removeMachines" | "at" | "again">;

/** Answers the machines that the host must remove, and whether it is to look again. Fails with `host_duplicate_session` while another process of the same host is alive. */
export async function takeInventory(db: Database, ask: InventoryAsk, inventory: Inventory): Promise<InventoryAnswer> {
  return db.transaction(async (tx) => {
    await lockMachines(tx, ask.hostId);
    const silentMs = sql<string | null>`extract(epoch from clock_timestamp() - ${hosts.lastReportAt}) * 1000`;
    const [found] = await tx.select({ host: hosts, silentMs }).from(hosts).where(eq(hosts.id, ask.hostId)).for("update");
    if (!found) throw new FaultError({ code: "host_not_found", message: `There is no host ${ask.hostId}.`, subject: ask.hostId });
    const silence = found.silentMs === null ? null : Number(found.silentMs);
    if (!mayReport(found.host, silence, ask.sessionSilentMs, inventory)) throw duplicate(found.host);
    const late = found.host.session === inventory.session && inventory.sequence <= found.host.sequence;
    const removeMachines = await removals(tx, ask, inventory.machines);
    const now = await clockOf(tx);
    if (late) return { removeMachines, at: now.toISOString() };
    const after = inventory.after ? new Date(inventory.after) : new Date(now.getTime() - gatheredWithinMs);
    await writeHost(tx, found.host, { inventory, after });
    await writeObservations(tx, ask.hostId, { seen: inventory.machines, after });
    // The host may have removed them before the compare loop looks: then nobody would hear that they were there.
    if (removeMachines.length > 0) await tellStandings(tx, ask.hubId, { hostId: ask.hostId });
    const untold = await compareMachines(tx, ask.hostId, { seen: inventory.machines, after, removed: removeMachines });
    const again = untold || now.getTime() - after.getTime() > oldAfterMs;
    return { removeMachines, at: now.toISOString(), ...(again ? { again } : {}) };
  });
}

async function clockOf(tx: Database): Promise<Date> {
  const [row] = await tx.execute<{ nowMs: string }>(sql`select floor(extract(epoch from clock_timestamp()) * 1000)::text as "nowMs"`);
  return new Date(Number(row?.nowMs));
}

/** Machines before their host, as every request that reserves room does: two orders would make two wait for each other. */
async function lockMachines(tx: Database, hostId: string): Promise<void> {
  const living = and(eq(machines.hostId, hostId), isNull(machines.retiredAt));
  await tx.select({ id: machines.id }).from(machines).where(living).orderBy(machines.id).for("update");
}

/**
 * The process that reported last goes on reporting. Another one takes its place when it has been silent; on the same computer, where a lock lets only one
 * process run and a reboot ends it, at once: session ids sort by time, so the older one cannot take the place back.
 */
function mayReport(host: HostRow, silentMs: number | null, sessionSilentMs: number, { session, facts }: Inventory): boolean {
  if (host.session === null || host.session === session || silentMs === null || silentMs >= sessionSilentMs) return true;
  return host.facts?.hardwareId === facts.hardwareId && session > host.session;
}

const duplicate = (host: HostRow) =>
  new FaultError({
    code: "host_duplicate_session",
    message: `Another process reports as host ${host.name}; this one is refused.`,
    subject: host.id,
  });

async function writeHost(tx: Database, host: HostRow, { inventory, after }: { inventory: Inventory; after: Date }): Promise<void> {
  const { session, bootId, sequence, facts, cached } = inventory;
  const cachedSorted = cached.toSorted((a, b) => a.digest.localeCompare(b.digest));
  await tx
    .update(hosts)
    .set({
      session,
      bootId,
      sequence,
      facts,
      cached: cachedSorted,
      inventoryAfter: after,
      toldState: "online",
      lastReportAt: sql`clock_timestamp()`,
    })
    .where(eq(hosts.id, host.id));
  // The state that was told last, as the compare loop tells the others: each change once.
  if (host.toldState !== "online") await tell(tx, host, "host.online", { before: host.toldState });
  // A host that came back after its hub did is no other boot.
  if (host.bootId !== null && host.bootId !== bootId) await tell(tx, host, "host.rebooted", { bootId, before: host.bootId });
  else if (host.session !== null && host.session !== session) await tell(tx, host, "host.restarted", {});
  const digestsOf = (list: readonly { digest: string }[]) => new Set(list.map(({ digest }) => digest));
  const [before, now] = [digestsOf(host.cached), digestsOf(cachedSorted)];
  const [added, removed] = [[...now.difference(before)], [...before.difference(now)]];
  if (added.length + removed.length > 0) await tell(tx, host, "host.cache", { digests: [...now], added, removed });
}

const tell = (tx: Database, host: HostRow, name: string, body: Record<string, unknown>) =>
  recordEvent(tx, { type: "host", name, subjectId: host.id, project: host.project, body: { name: host.name, ...body } });

/** What was acted on since stays as the operation told it. */
async function writeObservations(tx: Database, hostId: string, { seen, after }: Pick<Compared, "seen" | "after">): Promise<void> {
  const ids = seen.map(({ id }) => id);
  const acted = sql`exists (select 1 from ${machines} m where m.id = ${observations.machineId} and m.host_id = ${observations.hostId}
    and m.retired_at is null and m.acted_at >= ${after.toISOString()})`;
  const gone = ids.length === 0 ? undefined : notInArray(observations.machineId, ids);
  await tx.delete(observations).where(and(eq(observations.hostId, hostId), gone, not(acted)));
  if (seen.length > 0) await recordSeen(tx, hostId, seen);
}

interface Compared {
  readonly seen: readonly ObservedMachine[];
  /** What was done until then is in it. */
  readonly after: Date;
  readonly removed: Removals;
}

/** Our machines that are placed here, against what the host sees. Answers whether it says nothing yet of some, because an operation acted on them since. */
async function compareMachines(tx: Database, hostId: string, { seen, after, removed }: Compared): Promise<boolean> {
  const rows = await tx
    .select({ row: machines, workedOn: isWorkedOn(machines.id) })
    .from(machines)
    .where(and(eq(machines.hostId, hostId), isNull(machines.retiredAt)))
    .orderBy(machines.id);
  const byId = new Map(seen.map((machine) => [machine.id, machine]));
  const same: string[] = [];
  let untold = false;
  for (const { row, workedOn } of rows) {
    if (row.observed === "making") continue;
    if (row.actedAt !== null && row.actedAt >= after) {
      untold ||= workedOn !== true;
      continue;
    }
    const machine = byId.get(row.id);
    const present = machine && !machine.unregistered && !removed.some(({ machineId }) => machineId === row.id) ? machine : null;
    const known = present?.mark && present.mark.machineId === undefined ? present.mark.epoch : row.epoch;
    const followed = known === row.epoch ? present : null;
    if (isFollowed(row, followed)) same.push(row.id);
    else await followMachine(tx, row, followed, { workedOn: workedOn === true });
  }
  if (same.length > 0)
    await tx
      .update(machines)
      .set({ observedAt: sql`clock_timestamp()` })
      .where(inArray(machines.id, same));
  return untold;
}

/** Machines with our mark whose row is retired, or that a newer placement replaced. Machines that no row knows are left alone. */
async function removals(tx: Database, { hostId, hubId }: InventoryAsk, seen: readonly ObservedMachine[]): Promise<Removals> {
  const marked = seen.filter(({ mark }) => mark?.hubId === hubId);
  if (marked.length === 0) return [];
  const { id, epoch, retiredAt } = machines;
  const ids = marked.map((machine) => machine.id);
  const rows = await tx.select({ id, epoch, retiredAt, hostId: machines.hostId }).from(machines).where(inArray(id, ids));
  const claims = new Map(rows.map((row) => [row.id, { hostId: row.hostId, epoch: row.epoch, retired: row.retiredAt !== null }]));
  return marked.flatMap((machine) =>
    machine.mark && standingOf(machine, hubId, hostId, claims.get(machine.id) ?? null) === "twin"
      ? [{ machineId: machine.id, epoch: machine.mark.epoch }]
      : [],
  );
}
