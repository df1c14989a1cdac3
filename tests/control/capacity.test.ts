/** Guarantees of placing: no host is given away twice, and a placement is of what stands when it is made. */
import { randomUUID } from "node:crypto";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { placeMachine } from "../../activities/hub/placing.ts";
import { requestAction, requestMachine } from "../../control/machines.ts";
import { grantScope, grantSubject } from "../../db/grants.ts";
import { findMachine } from "../../db/machines.ts";
import { insertPlacement } from "../../db/placements.ts";
import { placements } from "../../db/schema.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { action, addHost, addImage, asked, codeOf, gibibyte, newMachine, openStocked, standing, type Hub } from "./hub.ts";

let hub: Hub;
let storeId: string;
beforeAll(async () => {
  ({ hub, storeId } = await openStocked());
});
afterAll(() => hub.close());

describe("capacity", () => {
  it("is never given away twice by placements at once", async () => {
    const db = hub.control.db;
    await hub.sql`update hosts set enabled = false`;
    const hostIds = await Promise.all([addHost(hub), addHost(hub, { cpus: 17 })]);
    const sizes = Array.from({ length: 200 }, () => ({
      vcpus: 1 + Math.floor(Math.random() * 4),
      memoryBytes: (1 + Math.floor(Math.random() * 8)) * gibibyte,
    }));
    const ids = await Promise.all(
      sizes.map(async (size) => unwrap(await requestMachine(hub.control, newMachine(size), asked())).operation.id),
    );
    // On a busy computer the requests take longer than a host may be silent.
    await hub.sql`update hosts set last_report_at = now()`;
    const placing = { db, hubId: hub.control.hubId, reserve: hub.control.reserve };
    const outcomes = await Promise.allSettled(ids.map((operationId) => placeMachine(placing, { operationId, excluded: [] })));
    const refused = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason as unknown] : []));
    expect(refused.length).toBeGreaterThan(100);
    for (const reason of refused) expect(reason instanceof FaultError && reason.fault.code).toBe("no_capacity");
    for (const [index, hostId] of hostIds.entries()) {
      const rows = await db.select().from(placements).where(eq(placements.hostId, hostId));
      const sum = (column: "vcpus" | "memoryBytes") => rows.reduce((total, row) => total + row[column], 0);
      expect(sum("vcpus")).toBeLessThanOrEqual([8, 16][index] ?? 0);
      expect(sum("memoryBytes")).toBeLessThanOrEqual(32 * gibibyte);
      expect(rows.length).toBeGreaterThan(1);
    }
  }, 180_000);

  it("puts no two machines on one host that keep apart from each other, also when they are placed at once", async () => {
    const { db, hubId, reserve } = hub.control;
    await hub.sql`update hosts set enabled = false`;
    await Promise.all([addHost(hub), addHost(hub), addHost(hub)]);
    const app = { app: `db-${randomUUID()}` };
    const wanted = newMachine({ labels: app, apartFrom: app });
    const ids = [];
    for (let made = 0; made < 12; made++)
      ids.push(unwrap(await requestMachine(hub.control, { ...wanted, name: `${wanted.name}-${made}` }, asked())).operation.id);
    await hub.sql`update hosts set last_report_at = now()`;
    const outcomes = await Promise.allSettled(
      ids.map((operationId) => placeMachine({ db, hubId, reserve }, { operationId, excluded: [] })),
    );
    const hosts = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value.hostId] : []));
    expect([hosts.length, new Set(hosts).size]).toEqual([3, 3]);
  }, 60_000);

  it("refuses a start that its host has no room for, and says what is missing", async () => {
    const { machineId, hostId } = await standing(hub, "stopped", { cpus: 3 });
    const { vcpus } = unwrap(await findMachine(hub.control.db, machineId));
    await insertPlacement(hub.control.db, {
      machineId: randomUUID(),
      epoch: 1,
      hostId,
      vcpus: 1,
      memoryBytes: 0,
      diskBytes: 0,
      macos: false,
      runs: true,
    });
    const refused = await requestAction(hub.control, machineId, action({ verb: "start" }), asked());
    expect(codeOf(refused)).toBe("no_capacity");
    expect(refused.ok ? "" : refused.fault.message).toContain(`has 1 of ${vcpus} vCPU free`);
  });

  it("answers the same placement to the same attempt, and the next epoch elsewhere", async () => {
    const { db, hubId, reserve } = hub.control;
    await hub.sql`update hosts set enabled = false`;
    await Promise.all([addHost(hub), addHost(hub)]);
    const { operation } = unwrap(await requestMachine(hub.control, newMachine(), asked()));
    const tried = (excluded: string[]) => placeMachine({ db, hubId, reserve }, { operationId: operation.id, excluded });
    const first = await tried([]);
    expect(await tried([])).toEqual(first);
    const second = await tried([first.hostId]);
    expect(second.hostId).not.toBe(first.hostId);
    expect(second.epoch).toBe(first.epoch + 1);
    const rows = await db.select().from(placements).where(eq(placements.machineId, first.machineId));
    expect(rows).toHaveLength(1);
  });

  it("makes the machine from what its version points to when it is placed, and says so", async () => {
    const { db, hubId, reserve } = hub.control;
    const imageVersionId = await addImage(hub, storeId, "replaced");
    await addHost(hub);
    const { operation, machine } = unwrap(await requestMachine(hub.control, newMachine({ image: { catalogId: "replaced" } }), asked()));
    const digest = "9".repeat(64);
    await hub.sql`update image_versions set digest = ${digest}, generation = 2 where id = ${imageVersionId}`;
    const placement = await placeMachine({ db, hubId, reserve }, { operationId: operation.id, excluded: [] });
    expect(placement.wanted).toMatchObject({ digest, generation: 2 });
    expect(unwrap(await findMachine(db, machine.id)).digest).toBe(digest);
    const subject = await grantSubject(db, { operationId: operation.id, holder: { hostId: placement.hostId }, begin: false });
    expect(await grantScope(db, subject)).toMatchObject({ trees: [{ digest, generation: 2 }] });
  });
});
