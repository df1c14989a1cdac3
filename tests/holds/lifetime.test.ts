/** Guarantees of a machine's time to live: by the database's clock, and what was prolonged in time is never retired. */
import { randomInt } from "node:crypto";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { retireIfDue } from "../../control/retire.ts";
import { retireDue } from "../../control/sweep.ts";
import { amendMachine, findAnyMachine } from "../../db/machines.ts";
import { unsettledOperations } from "../../db/operations.ts";
import { machines } from "../../db/schema.ts";
import { settleOperation } from "../../db/settlement.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { requestMachine } from "../../control/machines.ts";
import { addImage, addStore, asked, newMachine, openHub, standing, type Hub } from "../control/hub.ts";

let hub: Hub;
beforeAll(async () => {
  hub = await openHub();
  await addImage(hub, await addStore(hub), "ubuntu");
});
afterAll(() => hub.close());

const expire = (machineId: string) => hub.sql`update machines set expires_at = clock_timestamp() where id = ${machineId}`;
const prolong = (machineId: string, ttlSeconds: number | null = 3600) =>
  hub.control.db.transaction((tx) => amendMachine(tx, machineId, { ttlSeconds }));
const retireOf = async (machineId: string) => (await unsettledOperations(hub.control.db, { machineId, verb: "retire" }))[0] ?? null;
const desired = async (machineId: string) => unwrap(await findAnyMachine(hub.control.db, machineId)).desired;

describe("a machine whose time is over", () => {
  it.each(["running", "stopped", "suspended"] as const)("is retired by force while it is %s, in the name of the hub", async (observed) => {
    const { machineId } = await standing(hub, observed);
    await expire(machineId);
    await retireDue(hub.control);
    expect(await retireOf(machineId)).toMatchObject({ actor: "system", state: "running" });
    expect(await desired(machineId)).toBe("absent");
  });

  it("takes the machine from whoever makes it, also when that is parked", async () => {
    const { machine, operation } = unwrap(await requestMachine(hub.control, newMachine({ ttlSeconds: 1 }), asked()));
    await hub.sql`update operations set state = 'parked' where id = ${operation.id}`;
    await expire(machine.id);
    await retireDue(hub.control);
    const retire = await retireOf(machine.id);
    const { events } = await hub.control.temporal.workflow.getHandle(retire?.workflowId ?? "").fetchHistory();
    const payloads = await hub.codec.decode(events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads ?? []);
    expect(JSON.parse(Buffer.from(payloads[0]?.data ?? []).toString())).toMatchObject({ takesOver: true, graceMs: 0 });
  });

  it("is retired by the database's clock, not by this computer's", async () => {
    const { machineId } = await standing(hub);
    const { expiresAt } = unwrap(await findAnyMachine(hub.control.db, machineId));
    expect(expiresAt).toBeNull();
    const amended = await prolong(machineId, 100);
    const [row] = await hub.sql`select extract(epoch from expires_at - now())::float8 as left from machines where id = ${machineId}`;
    expect(row?.["left"]).toBeGreaterThan(90);
    expect(amended?.expiresAt).not.toBeNull();
    await hub.sql`update machines set expires_at = expires_at - interval '101 seconds' where id = ${machineId}`;
    await retireDue(hub.control);
    expect(await retireOf(machineId)).not.toBeNull();
  });
});

describe("a machine that is prolonged", () => {
  it("lives on, although it was seen to be over before", async () => {
    const { machineId } = await standing(hub);
    await expire(machineId);
    await prolong(machineId);
    expect(await retireIfDue(hub.control, { id: machineId, project: "default" })).toBeNull();
    expect([await retireOf(machineId), await desired(machineId)]).toEqual([null, "running"]);
  });

  it("is refused once its end has begun, which names the end, and may be when that was cancelled", async () => {
    const { machineId } = await standing(hub);
    await expire(machineId);
    await retireDue(hub.control);
    const retire = await retireOf(machineId);
    await expect(prolong(machineId)).rejects.toMatchObject({
      fault: { code: "machine_busy", details: { operationId: retire?.id, verb: "retire" } },
    });
    await settleOperation(hub.control.db, { operationId: retire?.id ?? "", steps: [], outcome: "cancelled" });
    await retireDue(hub.control);
    expect(await retireOf(machineId)).toBeNull();
    expect(await prolong(machineId, null)).toMatchObject({ expiresAt: null });
    expect(await desired(machineId)).toBe("running");
  });

  it("is either retired or prolonged when both come at once, never both", async () => {
    const seed = Number(process.env["DROVER_TEST_SEED"] ?? randomInt(2 ** 31));
    const standings = await Promise.all(Array.from({ length: 12 }, () => standing(hub)));
    const outcomes = await Promise.all(
      standings.map(async ({ machineId }, index) => {
        await expire(machineId);
        const delayMs = (seed * (index + 7)) % 23;
        const [retired, prolonged] = await Promise.all([
          retireIfDue(hub.control, { id: machineId, project: "default" }),
          new Promise((resolve) => setTimeout(resolve, delayMs))
            .then(() => prolong(machineId))
            .then(
              () => true,
              (error: unknown) => !(error instanceof FaultError && error.fault.code === "machine_busy"),
            ),
        ]);
        return [retired !== null, prolonged];
      }),
    );
    for (const [retired, prolonged] of outcomes) expect(prolonged, `seed ${seed}`).toBe(!retired);
    const rows = await hub.control.db.select().from(machines).where(eq(machines.desired, "absent"));
    expect(rows.length, `seed ${seed}`).toBeGreaterThanOrEqual(outcomes.filter(([retired]) => retired).length);
  });
});
