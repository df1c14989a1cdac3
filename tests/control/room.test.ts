/** The queue for room on a real database: whose turn it is when machines are placed, who is told of room, and what machines say of why they wait. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { awaitRoom, placeMachine } from "../../activities/hub/placing.ts";
import { requestMachine } from "../../control/machines.ts";
import { roomTeller } from "../../control/room.ts";
import { waitingMachines } from "../../db/queue.ts";
import { findMachine, retireRow } from "../../db/machines.ts";
import { deletePlacement } from "../../db/placements.ts";
import { unwrap } from "../../domain/errors.ts";
import type { NewMachine } from "../../domain/machines/schema.ts";
import { addHost, asked, gibibyte, newMachine, openStocked, type Hub } from "./hub.ts";

let hub: Hub;
let hostId: string;
beforeAll(async () => {
  ({ hub } = await openStocked());
  await hub.sql`update hosts set enabled = false`;
  hostId = await addHost(hub, { cpus: 9 });
});
afterAll(() => hub.close());

const placing = () => ({ db: hub.control.db, hubId: hub.control.hubId, reserve: hub.control.reserve });
const until = new Date(Date.now() + 3_600_000).toISOString();
/** A host that is not heard of takes nothing, however long the test takes. */
const heard = () => hub.sql`update hosts set last_report_at = now()`;

async function want(vcpus: number, more: Partial<NewMachine> = {}) {
  await heard();
  const { operation, machine } = unwrap(await requestMachine(hub.control, newMachine({ vcpus, memoryBytes: gibibyte, ...more }), asked()));
  const operationId = operation.id;
  return {
    id: machine.id,
    operationId,
    place: () => placeMachine(placing(), { operationId, excluded: [] }),
    wait: () => awaitRoom(placing(), { operationId, excluded: [], until }),
    pending: async () => unwrap(await findMachine(hub.control.db, machine.id)).pending,
    end: () =>
      hub.control.db.transaction(async (tx) => {
        await retireRow(tx, machine.id, "machine.retired");
        await deletePlacement(tx, machine.id);
      }),
  };
}
const refused = { fault: { code: "no_capacity" } };

describe("a machine that waits for room", () => {
  it("says what each host lacks and how many are before it, is told when there is room in its turn, and then waits no more", async () => {
    const full = await want(7);
    await full.place();
    const [second, first] = [await want(4), await want(4, { priority: 1 })];
    for (const one of [second, first]) {
      await expect(one.place()).rejects.toMatchObject(refused);
      await one.wait();
    }
    const look = roomTeller(hub.control);
    await look();
    const lacks = [{ hostId, host: expect.any(String), lacks: ["has 1 of 4 vCPU free"] }];
    expect(await second.pending()).toMatchObject({ priority: 0, ahead: 1, until, hosts: expect.arrayContaining(lacks) });
    expect(await first.pending()).toMatchObject({ priority: 1, ahead: 0 });
    await full.end();
    await heard();
    await look();
    expect((await first.pending())?.hosts.filter((host) => host.hostId === hostId)).toEqual([]);
    expect((await first.place()).hostId).toBe(hostId);
    expect(await first.pending()).toBeNull();
    expect((await second.place()).hostId).toBe(hostId);
    for (const one of [first, second]) await one.end();
    expect(await waitingMachines(hub.control.db)).toEqual([]);
  });

  it("is not overtaken by a newcomer that needs the same room, and does not hold up one that fits beside it", async () => {
    const full = await want(6);
    await full.place();
    const patient = await want(8);
    await expect(patient.place()).rejects.toMatchObject(refused);
    await patient.wait();
    const beside = await want(2);
    expect((await beside.place()).hostId).toBe(hostId);
    await beside.end();
    await full.end();
    const newcomer = await want(2);
    await expect(newcomer.place()).rejects.toMatchObject(refused);
    const urgent = await want(2, { priority: 100 });
    expect((await urgent.place()).hostId).toBe(hostId);
    await urgent.end();
    expect((await patient.place()).hostId).toBe(hostId);
    await patient.end();
  });

  it("waits no more once it has ended, and then nobody waits behind it", async () => {
    const gone = await want(8);
    const full = await want(8);
    await full.place();
    await expect(gone.place()).rejects.toMatchObject(refused);
    await gone.wait();
    await gone.end();
    await full.end();
    expect(await waitingMachines(hub.control.db)).toEqual([]);
    const next = await want(8);
    expect((await next.place()).hostId).toBe(hostId);
    await next.end();
  });
});
