/**
 * Closes hosts while a maintenance window of theirs is open.
 *
 * The one idea: the difference between what windows say at this moment and what stands with the hosts is mended at each look, so a window that was added,
 * removed or missed while no hub was there is seen all the same.
 */
import type { Database } from "../db/connect.ts";
import { maintainHost } from "../db/hosts.ts";
import { databaseNow, listWindows, maintainedHosts } from "../db/maintenance.ts";
import { isFor, openUntil } from "../domain/hosts/windows.ts";

export async function keepMaintenance(db: Database, clock: (db: Database) => Promise<number> = databaseNow): Promise<void> {
  const [windows, found] = await Promise.all([listWindows(db), maintainedHosts(db)]);
  if (windows.length === 0 && found.every(({ maintenanceUntil }) => maintenanceUntil === null)) return;
  const nowMs = await clock(db);
  for (const host of found) {
    const ends = windows.filter((window) => isFor(window, host)).map((window) => openUntil(window, nowMs) ?? 0);
    const until = Math.max(0, ...ends);
    if (until === (host.maintenanceUntil?.getTime() ?? 0)) continue;
    await db.transaction((tx) => maintainHost(tx, host.id, until === 0 ? null : new Date(until)));
  }
}
