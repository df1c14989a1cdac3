/**
 * What the hub makes of hosts' inventories, on a real database: what is believed and told once, what is repaired, and what says nothing yet.
 *
 * The one idea: inventories are taken as the gateway takes them, each with the moment after which it was gathered, so the order of things is the test's.
 */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adoptActivities } from "../../activities/hub/machines.ts";
import { comparer } from "../../control/compare.ts";
import { requestAdopt } from "../../control/adopt.ts";
import { requestAction } from "../../control/machines.ts";
import { requestRegister } from "../../control/register.ts";
import { requestRetire } from "../../control/retire.ts";
import { takeInventory } from "../../db/inventories.ts";
import { findMachine, insertMachine, recordActed, retireRow } from "../../db/machines.ts";
import { unsettledOperations } from "../../db/operations.ts";
import { seenMachine as machineSeen } from "../../db/observed.ts";
import { deletePlacement, findPlacement, insertPlacement, readSupplies } from "../../db/placements.ts";
import { settleOperation } from "../../db/settlement.ts";
import { unclaimedMachines } from "../../db/unclaimed.ts";
import { unwrap } from "../../domain/errors.ts";
import { faultRecord } from "../../domain/operations/rules.ts";
import type { DesiredState } from "../../domain/machines/rules.ts";
import { Adoption, type ObservedMachine } from "../../domain/machines/schema.ts";
import { addHost, asked, gibibyte, openHub, type Hub } from "../control/hub.ts";
import { seenMachine } from "../seen.ts";

let hub: Hub;
beforeAll(async () => void (hub = await openHub()));
afterAll(() => hub.close());

/** A host with its reports, each gathered after the answer to the one before. */
async function openHost() {
  const { db, hubId } = hub.control;
  const hostId = await addHost(hub);
  const [row] = await hub.sql`select facts from hosts where id = ${hostId}`;
  const session = randomUUID();
  let sequence = 0;
  let bootId = "boot-1";
  let after: string | null = null;
  const send = async (machines: ObservedMachine[], gatheredAfter: string | null) => {
    const inventory = {
      kind: "inventory",
      sequence: ++sequence,
      session,
      bootId,
      at: new Date().toISOString(),
      after: gatheredAfter,
    } as const;
    const answer = await takeInventory(
      db,
      { hostId, hubId, sessionSilentMs: 7_000 },
      { ...inventory, facts: row?.["facts"], machines, cached: [] },
    );
    after = answer.at ?? after;
    return answer;
  };
  const compare = comparer(hub.control, { listenMs: 0 });
  return {
    hostId,
    reboot: () => void (bootId = "boot-2"),
    /** As a host does at once when the hub says that it looked too early. */
    report: async (...machines: ObservedMachine[]) => {
      const first = await send(machines, after);
      const answer = first.again ? await send(machines, after) : first;
      await compare();
      return answer;
    },
    /** One that was on its way for long. */
    late: async (gatheredAfter: string | null, ...machines: ObservedMachine[]) => {
      const answer = await send(machines, gatheredAfter);
      await compare();
      return answer;
    },
    at: () => after,
  };
}
type Host = Awaited<ReturnType<typeof openHost>>;

async function machineOn({ hostId }: Host, desired: DesiredState & ("running" | "stopped"), name = `m-${randomUUID()}`) {
  const { db } = hub.control;
  const size = { vcpus: 2, memoryBytes: gibibyte, diskBytes: gibibyte };
  const id = randomUUID();
  const row = { id, name, owner: "someone", hostId, origin: "image", kind: "pvm", desired, observed: "making", ...size } as const;
  await insertMachine(db, row);
  await insertPlacement(db, { machineId: id, epoch: 1, hostId, ...size, macos: false, runs: desired === "running" });
  await db.transaction((tx) => recordActed(tx, id, desired, { bundlePath: `/machines/${name}.pvm` }));
  const mark = { hubId: hub.control.hubId, epoch: 1, operationId: null };
  const seen = (more: Partial<ObservedMachine> = {}) => seenMachine({ id, name, state: desired, ...size, mark, ...more });
  return { id, name, seen };
}
const show = async (id: string) => unwrap(await findMachine(hub.control.db, id));
const told = async (id: string, name: string) =>
  (await hub.sql`select body from events where subject_id = ${id} and name = ${name} order by at`).map((row) => row["body"]);
const open = (machineId: string) => unsettledOperations(hub.control.db, { machineId });

describe("what somebody did by hand", { timeout: 30_000 }, () => {
  it("is believed: the machine is wanted as it is, its room follows, and it is told once", async () => {
    const host = await openHost();
    const { id, seen } = await machineOn(host, "running");
    await host.report(seen());
    for (let again = 0; again < 3; again++) await host.report(seen({ state: "stopped" }));
    expect(await show(id)).toMatchObject({ desired: "stopped", observed: "stopped" });
    expect((await findPlacement(hub.control.db, id))?.runs).toBe(false);
    expect(await open(id)).toEqual([]);
    await host.report(seen({ state: "running" }));
    expect(await show(id)).toMatchObject({ desired: "running", observed: "running", drift: [] });
    expect((await findPlacement(hub.control.db, id))?.runs).toBe(true);
    expect(await told(id, "machine.changed_outside")).toMatchObject([
      { what: "desired", before: "running", after: "stopped" },
      { what: "desired", before: "stopped", after: "running" },
    ]);
  });

  it("is reported and not undone where a host has no room for what was started on it", async () => {
    const host = await openHost();
    const [one, other] = [await machineOn(host, "stopped"), await machineOn(host, "stopped")];
    const large = { vcpus: 6 };
    await host.report(one.seen({ ...large, state: "running" }), other.seen(large));
    await host.report(one.seen({ ...large, state: "running" }), other.seen({ ...large, state: "running" }));
    const crowded = (await Promise.all([show(one.id), show(other.id)])).flatMap(({ drift }) => drift.map(({ kind }) => kind));
    expect(crowded).toEqual(["no_room"]);
    expect(await open(other.id)).toEqual([]);
    await host.report(one.seen({ ...large, state: "stopped" }), other.seen({ ...large, state: "running" }));
    expect((await show(other.id)).drift).toEqual([]);
  });

  it("changes name, size and place of a machine, but takes no name that another has", async () => {
    const host = await openHost();
    const [one, other] = [await machineOn(host, "stopped"), await machineOn(host, "stopped")];
    const name = `n-${randomUUID()}`;
    const changed = { name, vcpus: 4, bundlePath: "/elsewhere/x.pvm" };
    await host.report(one.seen(changed), other.seen({ name: name.toUpperCase() }));
    const rows = await Promise.all([show(one.id), show(other.id)]);
    expect(rows.map((row) => row.name.toLowerCase())).toContain(name);
    const kept = rows.find(({ drift }) => drift.length > 0);
    expect(kept?.drift).toMatchObject([{ kind: "name" }]);
    expect([one.name, other.name]).toContain(kept?.name);
    expect(await show(one.id)).toMatchObject({ vcpus: 4, bundlePath: "/elsewhere/x.pvm" });
    expect((await findPlacement(hub.control.db, one.id))?.vcpus).toBe(4);
    expect((await told(one.id, "machine.changed_outside")).map(({ what }) => what)).toEqual(
      expect.arrayContaining(["vcpus", "bundlePath"]),
    );
  });

  it("is nothing yet while an operation works on the machine, and nothing at all when it was seen before the operation's last act", async () => {
    const host = await openHost();
    const { id, seen } = await machineOn(host, "running");
    await host.report(seen());
    const operation = unwrap(await requestAction(hub.control, id, { verb: "suspend" }, asked()));
    await host.report(seen({ state: "stopped" }));
    expect(await show(id)).toMatchObject({ desired: "suspended", observed: "stopped" });
    const before = host.at();
    await hub.control.db.transaction((tx) => recordActed(tx, id, "suspended"));
    await settleOperation(hub.control.db, { operationId: operation.id, steps: [], outcome: "done" });
    expect(await host.late(before, seen({ state: "running" }))).toMatchObject({ again: true });
    expect(await host.late(before)).toMatchObject({ again: true });
    expect(await show(id)).toMatchObject({ desired: "suspended", observed: "suspended", drift: [] });
    expect(await told(id, "machine.changed_outside")).toEqual([]);
  });
});

describe("what happened by accident", { timeout: 30_000 }, () => {
  it("is repaired by one operation of the system; where that fails it is not tried at every look", async () => {
    const host = await openHost();
    const [ran, stood] = [await machineOn(host, "running"), await machineOn(host, "stopped")];
    await host.report(ran.seen(), stood.seen());
    host.reboot();
    for (let again = 0; again < 2; again++) await host.report(ran.seen({ state: "stopped" }), stood.seen());
    const [repair, ...more] = await open(ran.id);
    expect([repair, more]).toMatchObject([{ verb: "start", actor: "system" }, []]);
    expect(await open(stood.id)).toEqual([]);
    const fault = faultRecord({ code: "prlctl_failed", message: "It did not start." });
    await settleOperation(hub.control.db, { operationId: repair?.id ?? "", steps: [], outcome: "failed", fault });
    await host.report(ran.seen({ state: "stopped" }), stood.seen());
    expect(await open(ran.id)).toEqual([]);
    expect(await show(ran.id)).toMatchObject({ desired: "running", observed: "stopped" });
  });

  it("is told on the machine where there is no room to repair it", async () => {
    const host = await openHost();
    const { id, seen } = await machineOn(host, "running");
    const foreign = { ...seen(), id: randomUUID(), name: "theirs", mark: null, vcpus: 8 };
    await host.report(seen());
    host.reboot();
    await host.report(seen({ state: "stopped" }), foreign);
    expect((await show(id)).drift).toMatchObject([{ kind: "not_repaired", message: expect.stringContaining("has no room") }]);
    await host.report(seen({ state: "stopped" }), foreign);
    expect(await told(id, "machine.drifted")).toHaveLength(1);
  });
});

describe("machines in no row", { timeout: 30_000 }, () => {
  it("are told once for what they are, and an orphan's end is asked for once", async () => {
    const host = await openHost();
    const { seen } = await machineOn(host, "stopped");
    const orphan = { ...seen(), id: randomUUID(), name: "orphan" };
    const foreign = { ...seen(), id: randomUUID(), name: "foreign", mark: null };
    for (let again = 0; again < 2; again++) await host.report(seen(), orphan, foreign);
    expect([await told(orphan.id, "machine.orphan"), await told(foreign.id, "machine.foreign")].map((list) => list.length)).toEqual([1, 1]);
    const retire = (id: string) => requestRetire(hub.control, id, { force: true }, asked());
    expect(await retire(foreign.id)).toMatchObject({ ok: false, fault: { code: "machine_foreign" } });
    const [first, second] = [unwrap(await retire(orphan.id)), unwrap(await retire(orphan.id))];
    expect(second.id).toBe(first.id);
  });

  it("are let go again when they are not adopted in the end, and no host is told to remove them", async () => {
    const host = await openHost();
    const { seen } = await machineOn(host, "stopped");
    const orphan = { ...seen(), id: randomUUID(), name: `o-${randomUUID()}` };
    await host.report(seen(), orphan);
    const adopting = unwrap(await requestAdopt(hub.control, orphan.id, Adoption.parse({}), asked()));
    const fault = faultRecord({ code: "operation_terminated", message: "Ended by hand." });
    await settleOperation(hub.control.db, { operationId: adopting.id, steps: [], outcome: "failed", fault });
    const answer = await host.report(seen(), orphan);
    expect(answer.removeMachines).toEqual([]);
    const [still] = await unclaimedMachines(hub.control.db, hub.control.hubId, { id: orphan.id });
    expect(still).toMatchObject({ standing: "orphan" });
    expect((await findPlacement(hub.control.db, orphan.id))?.machineId).toBeUndefined();
  });

  it("are shown with their host's details from the moment they are ours, whatever it reported before", async () => {
    const host = await openHost();
    const { db } = hub.control;
    const before = host.at();
    const own = { hostId: host.hostId, path: "/machines/taken-in.pvm" };
    const { id: operationId, machineId } = unwrap(await requestRegister(hub.control, own, asked()));
    const id = machineId ?? "";
    const seen = seenMachine({ id, raw: { "Guest OS": "macosx" } });
    await adoptActivities({ db }).recordAdopted({ operationId, effect: { observed: "stopped", seen } });
    await settleOperation(db, { operationId, steps: [], outcome: "done" });
    const details = async () => (await machineSeen(db, id))?.seen?.raw;
    expect(await details()).toEqual(seen.raw);
    await host.late(before);
    expect(await details()).toEqual(seen.raw);
    await host.report();
    expect(await details()).toBeUndefined();
  });

  it("take no room of their host once they have ended, though it has not looked since", async () => {
    const host = await openHost();
    const { db, reserve } = hub.control;
    const free = async () => (await readSupplies(db, reserve, { hostIds: [host.hostId] }))[0]?.freeVcpus ?? 0;
    const { id, seen } = await machineOn(host, "running");
    await host.report(seen());
    const full = await free();
    await db.transaction(async (tx) => {
      await retireRow(tx, id, "machine.retired");
      await deletePlacement(tx, id);
    });
    expect(await free()).toBe(full + seen().vcpus);
    // Still there when it was looked for after the end: a remnant, which takes room like anybody's.
    for (let looked = 0; looked < 2; looked++) await host.report(seen());
    expect(await free()).toBe(full);
  });

  it("are removed after the limit where one is set, unless somebody else made them", async () => {
    const host = await openHost();
    const { seen } = await machineOn(host, "stopped");
    const [orphan, adopted, foreign] = ["orphan", "adopted", "foreign"].map((name) => ({ ...seen(), id: randomUUID(), name }));
    if (!orphan || !adopted || !foreign || !orphan.mark) throw new Error("three machines");
    const machines = [seen(), orphan, { ...adopted, mark: { ...orphan.mark, adopted: true } }, { ...foreign, mark: null }];
    await host.report(...machines);
    const limited = comparer({ ...hub.control, orphanLimitMs: 3_600_000 }, { listenMs: 0 });
    await limited();
    expect(await open(orphan.id)).toEqual([]);
    await hub.sql`update observations set first_seen_at = now() - interval '2 hours' where host_id = ${host.hostId}`;
    for (let again = 0; again < 2; again++) await limited();
    expect(await open(orphan.id)).toMatchObject([{ verb: "retire", actor: "system" }]);
    expect([await open(adopted.id), await open(foreign.id)]).toEqual([[], []]);
  });
});
