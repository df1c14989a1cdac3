/** Maintenance windows close and open their hosts by the database's clock, tell each change once, and end by themselves. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { keepMaintenance } from "../../control/maintenance.ts";
import { findHost } from "../../db/hosts.ts";
import { databaseNow, insertWindow, removeWindow } from "../../db/maintenance.ts";
import { unwrap } from "../../domain/errors.ts";
import { NewMaintenanceWindow } from "../../domain/hosts/maintenance.ts";
import { addHost, openHub, type Hub } from "../control/hub.ts";

let hub: Hub;
beforeAll(async () => {
  hub = await openHub();
});
afterAll(() => hub.close());

const add = (more: object) =>
  insertWindow(hub.control.db, NewMaintenanceWindow.parse({ name: "w", startsAt: "00:00", minutes: 1440, zone: "UTC", ...more }), "root");
const at = (time: string) => keepMaintenance(hub.control.db, async () => Date.parse(time));
const host = async (id: string) => unwrap(await findHost(hub.control.db, id));
const told = async (id: string) => {
  const rows = await hub.sql<{ body: { cordon: string | null } }[]>`
    select body from events where subject_id = ${id} and name = 'host.cordon' order by at`;
  return rows.map(({ body }) => body.cordon);
};

describe("a maintenance window", () => {
  it("closes the hosts that it names or that have its label, and no other, and opens them when it is removed", async () => {
    const [named, labelled, other] = [await addHost(hub), await addHost(hub), await addHost(hub)];
    await hub.sql`update hosts set labels = '{Studio}' where id = ${labelled}`;
    await add({ name: "now", hostIds: [named], labels: ["studio"] });
    await keepMaintenance(hub.control.db);
    await keepMaintenance(hub.control.db);
    expect([(await host(named)).cordon, (await host(labelled)).cordon, (await host(other)).cordon]).toEqual([
      "in maintenance",
      "in maintenance",
      null,
    ]);
    expect((await host(named)).maintenanceUntil?.getTime()).toBeGreaterThan(await databaseNow(hub.control.db));
    await removeWindow(hub.control.db, "NOW");
    await keepMaintenance(hub.control.db);
    expect((await host(named)).maintenanceUntil).toBeNull();
    expect(await told(named)).toEqual(["in maintenance", null]);
    expect(await told(other)).toEqual([]);
  });

  it("is open for its own length over both changes of time, whatever the zone's clock shows", async () => {
    const id = await addHost(hub);
    await add({ name: "berlin", hostIds: [id], days: ["sun"], startsAt: "01:00", minutes: 240, zone: "Europe/Berlin" });
    const until = async (time: string) => {
      await at(time);
      return (await host(id)).maintenanceUntil?.toISOString() ?? null;
    };
    expect(await until("2026-03-28T23:59:59Z")).toBeNull();
    expect(await until("2026-03-29T00:00:00Z")).toBe("2026-03-29T04:00:00.000Z");
    expect(await until("2026-03-29T04:00:00Z")).toBeNull();
    expect(await until("2026-10-25T02:59:59Z")).toBe("2026-10-25T03:00:00.000Z");
    expect(await until("2026-10-25T03:00:00Z")).toBeNull();
    await removeWindow(hub.control.db, "berlin");
  });

  it("ends at its end although no hub looks any more, and leaves closed what an operator closed", async () => {
    const [id, closed] = [await addHost(hub), await addHost(hub)];
    await hub.sql`update hosts set maintenance_until = clock_timestamp() + interval '300 milliseconds', cordoned = (id = ${closed}) where id in (${id}, ${closed})`;
    expect((await host(id)).cordon).toBe("in maintenance");
    await hub.sql`select pg_sleep(0.4)`;
    expect((await host(id)).cordon).toBeNull();
    expect((await host(closed)).cordon).toBe("cordoned");
  });

  it.each([
    ["a zone that is none", { zone: "Mars/Olympus" }],
    ["a zone that is an offset", { zone: "+02:00" }],
    ["no hosts", { labels: [] }],
    ["a time that no clock shows", { startsAt: "24:00" }],
    ["no day", { days: [] }],
  ])("is refused with %s", (_, more) => {
    const wanted = { name: "w", labels: ["l"], startsAt: "02:00", minutes: 60, zone: "UTC", ...more };
    expect(NewMaintenanceWindow.safeParse(wanted).success).toBe(false);
  });
});
