/** Guarantees of closed hosts: nothing new is placed on them, whatever happens between the choice and the reservation, and none stays closed by nobody. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { placeMachine } from "../../activities/hub/placing.ts";
import { requestDrain } from "../../control/drain.ts";
import { requestAction, requestMachine } from "../../control/machines.ts";
import { cordonHost, findHost, lockHost } from "../../db/hosts.ts";
import { settleOperation } from "../../db/settlement.ts";
import { unwrap } from "../../domain/errors.ts";
import { NewDrain } from "../../domain/hosts/schema.ts";
import type { Outcome } from "../../domain/operations/rules.ts";
import { action, addHost, asked, codeOf, newMachine, openStocked, standing, type Hub } from "../control/hub.ts";

let hub: Hub;
beforeAll(async () => {
  ({ hub } = await openStocked());
});
afterAll(() => hub.close());
beforeEach(() => hub.sql`update hosts set enabled = false`);

const host = async (id: string) => unwrap(await findHost(hub.control.db, id));
const cordon = (id: string, closed = true) => hub.control.db.transaction((tx) => cordonHost(tx, id, closed));
const drain = (id: string) => requestDrain(hub.control, id, NewDrain.parse({}), asked());
const settle = (operationId: string, outcome: Outcome) => settleOperation(hub.control.db, { operationId, steps: [], outcome });
const asksForOne = async () => unwrap(await requestMachine(hub.control, newMachine(), asked())).operation.id;
const place = (operationId: string) => {
  const { db, hubId, reserve } = hub.control;
  return placeMachine({ db, hubId, reserve }, { operationId, excluded: [] });
};
const isPlaced = (operationId: string) =>
  place(operationId).then(
    ({ hostId }) => hostId,
    (error: unknown) => (error as { fault: { message: string } }).fault.message,
  );

describe("a closed host", () => {
  it.each(["cordoned", "draining", "in maintenance"] as const)("gets no machine while it is %s, and says why", async (cordonIs) => {
    const id = await addHost(hub);
    if (cordonIs === "cordoned") await cordon(id);
    if (cordonIs === "draining") unwrap(await drain(id));
    if (cordonIs === "in maintenance") await hub.sql`update hosts set maintenance_until = now() + interval '1 hour' where id = ${id}`;
    expect(await isPlaced(await asksForOne())).toContain(`${(await host(id)).name} is ${cordonIs}`);
    expect(codeOf(await requestMachine(hub.control, newMachine({ hostId: id }), asked()))).toBe("host_cordoned");
  });

  it("gets no machine when it is closed between the choice and the reservation", async () => {
    const [first, second] = [await addHost(hub, { memoryBytes: 64 * 1024 ** 3 }), await addHost(hub)];
    const operationId = await asksForOne();
    let placed: Promise<string> | undefined;
    await hub.control.db.transaction(async (tx) => {
      // Whoever places sees the host open and the best, and waits for its row.
      unwrap(await lockHost(tx, first));
      await tx.execute(`select id from hosts where id = '${second}' for no key update`);
      placed = isPlaced(operationId);
      await waitsForRow();
      unwrap(await cordonHost(tx, first, true));
    });
    expect(await placed).toBe(second);
  });

  it("never has a machine that was placed after it was closed, however cordons and placements meet", async () => {
    const ids = [await addHost(hub, { cpus: 65 }), await addHost(hub, { cpus: 65 })];
    const operations = await Promise.all(Array.from({ length: 20 }, asksForOne));
    const closing = ids.map(async (id) => {
      unwrap(await cordon(id));
      return hub.sql<{ count: string }[]>`select count(*) from placements where host_id = ${id}`.then(([row]) => Number(row?.count));
    });
    const placing = operations.map(isPlaced);
    const counted = await Promise.all(closing);
    await Promise.all(placing);
    for (const [index, id] of ids.entries()) {
      const [row] = await hub.sql<{ count: string }[]>`select count(*) from placements where host_id = ${id}`;
      expect(Number(row?.count)).toBe(counted[index]);
    }
  });

  it("lets the machines work that it has, unless it is drained", async () => {
    const { machineId, hostId } = await standing(hub);
    await hub.sql`update hosts set enabled = true where id = ${hostId}`;
    unwrap(await cordon(hostId));
    expect(codeOf(await requestAction(hub.control, machineId, action({ verb: "clone", name: "copy" }), asked()))).toBe("host_cordoned");
    const started = unwrap(await requestAction(hub.control, machineId, action({ verb: "start" }), asked()));
    await settle(started.id, "failed");
    unwrap(await drain(hostId));
    expect(codeOf(await requestAction(hub.control, machineId, action({ verb: "start" }), asked()))).toBe("host_draining");
  });
});

describe("a drain", () => {
  it.each([
    ["done", true, "cordoned"],
    ["done", false, "cordoned"],
    ["cancelled", false, null],
    ["cancelled", true, "cordoned"],
    ["failed", false, null],
  ] as const)("that ends as %s leaves a host that was cordoned before (%s) as %s", async (outcome, before, after) => {
    const id = await addHost(hub);
    if (before) unwrap(await cordon(id));
    const operation = unwrap(await drain(id));
    expect(await host(id)).toMatchObject({ cordon: "draining", draining: operation.id });
    expect(codeOf(await drain(id))).toBe("host_draining");
    expect(codeOf(await cordon(id, false))).toBe("host_draining");
    await settle(operation.id, outcome);
    expect(await host(id)).toMatchObject({ cordon: after, draining: null });
  });

  it("tells each change of a cordon once", async () => {
    const id = await addHost(hub);
    for (const closed of [true, true, false, false]) unwrap(await cordon(id, closed));
    const rows = await hub.sql<{ body: { cordon: string | null } }[]>`
      select body from events where subject_id = ${id} and name = 'host.cordon' order by at`;
    expect(rows.map(({ body }) => body.cordon)).toEqual(["cordoned", null]);
  });
});

/** Until somebody waits for a lock in this database. */
async function waitsForRow(): Promise<void> {
  for (;;) {
    const [row] = await hub.sql<{ waits: boolean }[]>`
      select exists (select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock') as waits`;
    if (row?.waits) return;
  }
}
