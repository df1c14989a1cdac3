/**
 * Maintenance windows, and until when each host is in one.
 *
 * The one idea: whether a window is open is asked of the database's clock alone; what is written with a host is only its end, so a window ends by itself even
 * when no hub is there to end it.
 */
import { asc, eq, sql } from "drizzle-orm";
import { FaultError } from "../domain/errors.ts";
import { MaintenanceWindow, type NewMaintenanceWindow } from "../domain/hosts/maintenance.ts";
import { openUntil, opensNext, type WindowTimes } from "../domain/hosts/windows.ts";
import { Uuid } from "../domain/ids.ts";
import type { Database } from "./connect.ts";
import { hosts, maintenanceWindows } from "./schema.ts";

export async function databaseNow(db: Database): Promise<number> {
  const [row] = await db.execute<{ now: string }>(sql`select extract(epoch from clock_timestamp()) * 1000 as now`);
  return Math.floor(Number(row?.["now"]));
}

export async function listWindows(db: Database): Promise<MaintenanceWindow[]> {
  const rows = await db.select().from(maintenanceWindows).orderBy(asc(maintenanceWindows.name));
  const nowMs = rows.length === 0 ? 0 : await databaseNow(db);
  return rows.map((row) => shown(row, nowMs));
}

const shown = (row: typeof maintenanceWindows.$inferSelect, nowMs: number): MaintenanceWindow => {
  // What was written was checked then.
  const times = row as WindowTimes;
  const until = openUntil(times, nowMs);
  return MaintenanceWindow.parse({
    ...row,
    openUntil: until === null ? null : new Date(until),
    opensNext: new Date(opensNext(times, nowMs)),
  });
};

export async function insertWindow(tx: Database, wanted: NewMaintenanceWindow, createdBy: string): Promise<MaintenanceWindow> {
  const values = { ...wanted, id: crypto.randomUUID(), createdBy };
  const [row] = await tx.insert(maintenanceWindows).values(values).onConflictDoNothing().returning();
  if (row) return shown(row, await databaseNow(tx));
  throw new FaultError({
    code: "maintenance_window_exists",
    message: `There is a maintenance window named ${wanted.name} already.`,
    subject: wanted.name,
  });
}

export async function removeWindow(tx: Database, idOrName: string): Promise<void> {
  const id = Uuid.safeParse(idOrName);
  const named = id.success ? eq(maintenanceWindows.id, id.data) : sql`lower(${maintenanceWindows.name}) = lower(${idOrName})`;
  const removed = await tx.delete(maintenanceWindows).where(named).returning({ id: maintenanceWindows.id });
  if (removed.length > 0) return;
  throw new FaultError({
    code: "maintenance_window_not_found",
    message: `There is no maintenance window ${idOrName}.`,
    subject: idOrName,
  });
}

/** What decides about windows of hosts. */
export function maintainedHosts(db: Database) {
  const { id, labels, maintenanceUntil } = hosts;
  return db.select({ id, labels, maintenanceUntil }).from(hosts);
}
