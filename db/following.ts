/**
 * Brings a machine's row to what its host saw: state, addresses, sizes, where its bundle lies.
 *
 * The one idea: the row follows at once, whoever changed the machine. What an operation is working on changes by its hand, so only what changed
 * without one is told as done from outside.
 */
import { sql, type SQL } from "drizzle-orm";
import type { ObservedMachine } from "../domain/machines/schema.ts";
import type { Database } from "./connect.ts";
import { observeMachine, tellMachine } from "./machines.ts";
import { changePlacement } from "./placements.ts";
import type { machines } from "./schema.ts";

export type MachineRow = typeof machines.$inferSelect;

/** Whether an operation works on a machine, or waits to: what changes meanwhile is its doing. `id` names the machine in the statement around it. */
export const isWorkedOn = (
  id: SQL | typeof machines.id,
): SQL => sql`(exists (select 1 from holds h where h.kind = 'machine' and h.subject_id = ${id}::text)
  or exists (select 1 from operations w where w.machine_id = ${id} and w.state not in ('done', 'failed', 'cancelled')))`;

/** A machine of ours that its host reports under the row's epoch; null is one that it does not have, or not registered. */
export type Followed = ObservedMachine | null;

export const isFollowed = (row: MachineRow, seen: Followed): boolean => Object.keys(changesTo(row, seen)).length === 0;

export async function followMachine(tx: Database, row: MachineRow, seen: Followed, { workedOn }: { workedOn: boolean }): Promise<void> {
  const { observed, ...changes } = changesTo(row, seen);
  await observeMachine(tx, row.id, observed ?? row.observed, changes);
  const { vcpus, memoryBytes, bundlePath } = changes;
  if (vcpus !== undefined || memoryBytes !== undefined)
    await changePlacement(tx, row.id, { ...(vcpus === undefined ? {} : { vcpus }), ...(memoryBytes === undefined ? {} : { memoryBytes }) });
  if (workedOn || row.bundlePath === null) return;
  // Parallels Desktop counts in whole mebibytes; what was asked for may lie between two.
  const resized = memoryBytes !== undefined && Math.abs(memoryBytes - row.memoryBytes) >= 1024 ** 2;
  await tellOutside(tx, row, {
    ...(vcpus === undefined ? {} : { vcpus }),
    ...(resized ? { memoryBytes } : {}),
    ...(bundlePath === undefined ? {} : { bundlePath }),
  });
}

/** What somebody changed on the host, told once: the row knows it afterwards. */
export async function tellOutside(tx: Database, row: MachineRow, now: Partial<Pick<MachineRow, OutsideFact>>): Promise<void> {
  for (const [what, after] of Object.entries(now))
    await tellMachine(tx, row, "machine.changed_outside", { what, before: row[what as OutsideFact], after });
}
type OutsideFact = "vcpus" | "memoryBytes" | "bundlePath" | "desired" | "name";

type Facts = Partial<
  Pick<MachineRow, "observed" | "addresses" | "macAddress" | "bundlePath" | "guestOs" | "vcpus" | "memoryBytes" | "diskBytes">
>;

function changesTo(row: MachineRow, seen: Followed): Facts {
  const now: Facts = seen ? factsOf(seen) : { observed: "absent", addresses: [] };
  const different = Object.entries(now).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(row[name as keyof Facts]));
  return Object.fromEntries(different);
}

const factsOf = ({ state, macAddress, addresses, bundlePath, guestOs, vcpus, memoryBytes, diskBytes }: ObservedMachine): Facts => ({
  observed: state,
  addresses,
  ...(macAddress === null ? {} : { macAddress }),
  ...(bundlePath === null ? {} : { bundlePath }),
  ...(guestOs === null ? {} : { guestOs }),
  // Zero means that the host could not tell.
  ...(vcpus > 0 ? { vcpus } : {}),
  ...(memoryBytes > 0 ? { memoryBytes } : {}),
  ...(diskBytes > 0 ? { diskBytes } : {}),
});
