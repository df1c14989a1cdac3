/**
 * Takes a host's inventory: what it is, what it has, which of our machines are there and in which state.
 *
 * The one idea: an inventory is the whole truth of one host at one moment, so rows are compared with it, and what it does not name is absent there.
 */
import { and, eq, inArray, isNull, notInArray, sql } from "drizzle-orm";
import { FaultError } from "../domain/errors.ts";
import { hostStateAt } from "../domain/hosts/rules.ts";
import type { ReportAnswer, ReportLine } from "../domain/hosts/schema.ts";
import type { ObservedMachine } from "../domain/machines/schema.ts";
import type { Database } from "./connect.ts";
import { recordEvent } from "./events.ts";
import { observeMachine } from "./machines.ts";
import { hosts, machines, observations } from "./schema.ts";

export type Inventory = Extract<ReportLine, { kind: "inventory" }>;
type HostRow = typeof hosts.$inferSelect;
type MachineRow = typeof machines.$inferSelect;
type Removals = ReportAnswer["removeMachines"];

export interface InventoryAsk {
  readonly hostId: string;
  readonly hubId: string;
  /** How long a session must have been silent before another process may take its place. */
  readonly sessionSilentMs: number;
}

/** Answers the machines that the host must remove. Fails with `host_duplicate_session` while another process of the same host is alive. */
export async function takeInventory(db: Database, ask: InventoryAsk, inventory: Inventory): Promise<Removals> {
  return db.transaction(async (tx) => {
    await lockMachines(tx, ask.hostId);
    const silentMs = sql<string | null>`extract(epoch from clock_timestamp() - ${hosts.lastReportAt}) * 1000`;
    const [found] = await tx.select({ host: hosts, silentMs }).from(hosts).where(eq(hosts.id, ask.hostId)).for("update");
    if (!found) throw new FaultError({ code: "host_not_found", message: `There is no host ${ask.hostId}.`, subject: ask.hostId });
    const silence = found.silentMs === null ? null : Number(found.silentMs);
    if (!mayReport(found.host, silence, ask.sessionSilentMs, inventory)) throw duplicate(found.host);
    const late = found.host.session === inventory.session && inventory.sequence <= found.host.sequence;
    if (!late) {
      await writeHost(tx, found.host, silence, inventory);
      await writeObservations(tx, ask.hostId, inventory.machines);
      await compareMachines(tx, ask.hostId, inventory.machines);
    }
    return removals(tx, ask, inventory.machines);
  });
}

/** Machines before their host, as every request that reserves room does: two orders would make two wait for each other. */
async function lockMachines(tx: Database, hostId: string): Promise<void> {
  const living = and(eq(machines.hostId, hostId), isNull(machines.retiredAt));
  await tx.select({ id: machines.id }).from(machines).where(living).orderBy(machines.id).for("update");
}

/**
 * The process that reported last goes on reporting. Another one takes its place when it has been silent; on the same boot of the same computer, where
 * a lock lets only one process run, at once: session ids sort by time, so the older one cannot take the place back.
 */
function mayReport(host: HostRow, silentMs: number | null, sessionSilentMs: number, { session, bootId }: Inventory): boolean {
  if (host.session === null || host.session === session || silentMs === null || silentMs >= sessionSilentMs) return true;
  return host.bootId === bootId && session > host.session;
}

const duplicate = (host: HostRow) =>
  new FaultError({
    code: "host_duplicate_session",
    message: `Another process reports as host ${host.name}; this one is refused.`,
    subject: host.id,
  });

async function writeHost(tx: Database, host: HostRow, silentMs: number | null, inventory: Inventory): Promise<void> {
  const { session, bootId, sequence, facts, cached } = inventory;
  const cachedSorted = cached.toSorted((a, b) => a.digest.localeCompare(b.digest));
  await tx
    .update(hosts)
    .set({ session, bootId, sequence, facts, cached: cachedSorted, lastReportAt: sql`clock_timestamp()` })
    .where(eq(hosts.id, host.id));
  const before = hostStateAt(silentMs);
  if (before !== "online") await tell(tx, host, "host.online", { before });
  if (host.session !== null && host.session !== session) await tell(tx, host, "host.restarted", {});
  const digests = (list: readonly { digest: string }[]) =>
    list
      .map(({ digest }) => digest)
      .toSorted()
      .join();
  if (digests(host.cached) !== digests(cached)) await tell(tx, host, "host.cache", { digests: cachedSorted.map(({ digest }) => digest) });
}

const tell = (tx: Database, host: HostRow, name: string, body: Record<string, unknown>) =>
  recordEvent(tx, { type: "host", name, subjectId: host.id, project: host.project, body: { name: host.name, ...body } });

async function writeObservations(tx: Database, hostId: string, seen: readonly ObservedMachine[]): Promise<void> {
  const ids = seen.map(({ id }) => id);
  await tx
    .delete(observations)
    .where(and(eq(observations.hostId, hostId), ids.length === 0 ? undefined : notInArray(observations.machineId, ids)));
  if (seen.length === 0) return;
  await tx
    .insert(observations)
    .values(seen.map((facts) => ({ hostId, machineId: facts.id, facts })))
    .onConflictDoUpdate({
      target: [observations.hostId, observations.machineId],
      set: { facts: sql`excluded.facts`, seenAt: sql`clock_timestamp()` },
    });
}

/** Our machines that are placed here, against what the host sees. */
async function compareMachines(tx: Database, hostId: string, seen: readonly ObservedMachine[]): Promise<void> {
  const rows = await tx
    .select()
    .from(machines)
    .where(and(eq(machines.hostId, hostId), isNull(machines.retiredAt)))
    .orderBy(machines.id);
  const byId = new Map(seen.map((machine) => [machine.id, machine]));
  const same: string[] = [];
  for (const row of rows) {
    const machine = byId.get(row.id);
    const present = machine && (machine.mark?.epoch ?? row.epoch) === row.epoch ? machine : undefined;
    if (isAsSeen(row, present)) same.push(row.id);
    else if (present) await observeMachine(tx, row.id, present.state, changesOf(present));
    else await observeMachine(tx, row.id, "absent", { addresses: [] });
  }
  if (same.length > 0)
    await tx
      .update(machines)
      .set({ observedAt: sql`clock_timestamp()` })
      .where(inArray(machines.id, same));
}

/** A machine that is being made need not be there yet. */
function isAsSeen(row: MachineRow, seen: ObservedMachine | undefined): boolean {
  if (!seen) return row.observed === "making" || row.observed === "absent";
  const now = { ...changesOf(seen), observed: seen.state };
  return Object.entries(now).every(([name, value]) => JSON.stringify(value) === JSON.stringify(row[name as keyof MachineRow]));
}

const changesOf = ({ macAddress, addresses, bundlePath, guestOs, vcpus, memoryBytes, diskBytes }: ObservedMachine) => ({
  addresses,
  ...(macAddress === null ? {} : { macAddress }),
  ...(bundlePath === null ? {} : { bundlePath }),
  ...(guestOs === null ? {} : { guestOs }),
  // Zero means that the host could not tell.
  ...(vcpus > 0 ? { vcpus } : {}),
  ...(memoryBytes > 0 ? { memoryBytes } : {}),
  ...(diskBytes > 0 ? { diskBytes } : {}),
});

/** Machines with our mark whose row is retired, or that a newer placement replaced. Machines that no row knows are left alone. */
async function removals(tx: Database, { hostId, hubId }: InventoryAsk, seen: readonly ObservedMachine[]): Promise<Removals> {
  const marked = seen.flatMap(({ id, mark }) => (mark?.hubId === hubId ? [{ machineId: id, epoch: mark.epoch }] : []));
  if (marked.length === 0) return [];
  const { id, epoch, retiredAt } = machines;
  const rows = await tx
    .select({ id, epoch, retiredAt, hostId: machines.hostId })
    .from(machines)
    .where(
      inArray(
        machines.id,
        marked.map(({ machineId }) => machineId),
      ),
    );
  const known = new Map(rows.map((row) => [row.id, row]));
  return marked.filter((machine) => {
    const row = known.get(machine.machineId);
    if (!row) return false;
    return (
      row.retiredAt !== null || machine.epoch < row.epoch || (row.hostId !== null && row.hostId !== hostId && machine.epoch <= row.epoch)
    );
  });
}
