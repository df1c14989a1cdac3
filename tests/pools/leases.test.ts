/** Guarantees of leases and of settling under many at once: one machine has one lessee, nothing is made twice, and what is leased is not ended as surplus. */
import { randomUUID } from "node:crypto";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { requestLease, requestRelease } from "../../control/leases.ts";
import { requestAction } from "../../control/machines.ts";
import { settlePool } from "../../control/pools.ts";
import { system } from "../../control/retire.ts";
import { findAnyMachine, insertMachine, updateMachine } from "../../db/machines.ts";
import { unsettledOperations } from "../../db/operations.ts";
import { insertPlacement } from "../../db/placements.ts";
import { addPooled, makeDue } from "../../db/pooled-machines.ts";
import { changePool, insertPool, readPool } from "../../db/pools.ts";
import { imageVersions, pooledMachines } from "../../db/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import type { IdleState } from "../../domain/pools/rules.ts";
import { NewPool } from "../../domain/pools/schema.ts";
import { addHost, asked, codeOf, gibibyte, openStocked, someone, type Hub } from "../control/hub.ts";

let hub: Hub;
let hostId: string;
const holder = { roles: [], claims: [], everything: true };
beforeAll(async () => {
  ({ hub } = await openStocked());
  hostId = await addHost(hub);
  // It reports all the time, as far as this test is concerned.
  await hub.sql`update hosts set last_report_at = now() + interval '1 day'`;
});
afterAll(() => hub.close());

/** A pool with so many machines that wait. */
async function poolOf(count: number, more: Partial<NewPool> = {}) {
  const { db } = hub.control;
  const wanted = NewPool.parse({
    name: `p-${randomUUID().slice(0, 8)}`,
    image: { catalogId: "ubuntu" },
    minimumIdle: count,
    maximum: 40,
    ...more,
  });
  const { pool } = await insertPool(db, wanted, { project: "default", holder, owner: "keeper", createdBy: "keeper" });
  const [image] = await db.select().from(imageVersions).where(eq(imageVersions.catalogId, "ubuntu"));
  const machines = Array.from({ length: count }, () => addIdle(pool, image?.digest ?? "", pool.idleState));
  return { pool, machineIds: await Promise.all(machines) };
}

async function addIdle({ id: poolId, name }: { id: string; name: string }, digest: string, idleState: IdleState): Promise<string> {
  const { db } = hub.control;
  const machineId = randomUUID();
  const sizes = { vcpus: 1, memoryBytes: gibibyte, diskBytes: gibibyte };
  const states = { desired: idleState, observed: idleState, origin: "image", kind: "pvm" } as const;
  await insertMachine(db, {
    id: machineId,
    project: "default",
    name: `${name}-${machineId.slice(0, 8)}`,
    owner: "keeper",
    hostId,
    digest,
    ...states,
    ...sizes,
  });
  await insertPlacement(db, { machineId, epoch: 1, hostId, macos: false, runs: idleState === "running", ...sizes });
  await addPooled(db, { machineId, poolId, revision: 1 });
  return machineId;
}
const livingOf = (poolId: string) =>
  hub.sql`select 1 from pooled_machines p join machines m on m.id = p.machine_id where p.pool_id = ${poolId} and m.retired_at is null`;

describe("fifty who lease at once", () => {
  it("get thirty different machines where thirty wait, each its own, and the others are told that none is left", async () => {
    const { pool, machineIds } = await poolOf(30);
    const answers = await Promise.all(Array.from({ length: 50 }, () => requestLease(hub.control, pool.name, {}, asked())));
    const got = answers.flatMap((answer) => (answer.ok ? [answer.value] : []));
    expect(new Set(got.map(({ machine }) => machine.id))).toEqual(new Set(machineIds));
    expect(got).toHaveLength(30);
    expect(got.every(({ machine, leasedBy }) => machine.owner === someone.userId && leasedBy === someone.username)).toBe(true);
    expect(new Set(answers.filter((answer) => !answer.ok).map(codeOf))).toEqual(new Set(["pool_empty"]));
  });

  it("with one key get one machine, and the same answer later", async () => {
    const { pool } = await poolOf(3);
    const idempotency = { key: randomUUID(), route: "POST /pools/p/lease", body: {} };
    const lease = () => requestLease(hub.control, pool.name, {}, asked({ idempotency }));
    const answers = await Promise.all(Array.from({ length: 50 }, lease));
    expect(new Set(answers.map((answer) => unwrap(answer).machine.id)).size).toBe(1);
    expect(unwrap(await lease()).id).toBe(unwrap(answers[0] ?? (await lease())).id);
    expect(
      codeOf(
        await requestLease(hub.control, pool.name, { ttlSeconds: 1 }, asked({ idempotency: { ...idempotency, body: { ttlSeconds: 1 } } })),
      ),
    ).toBe("idempotency_conflict");
  });

  it("and a surplus that is ended at the same time never have the same machine", async () => {
    const { pool, machineIds } = await poolOf(20);
    const kept = await readPool(hub.control.db, pool.id);
    if (!kept) throw new Error("The pool is gone.");
    await changePool(hub.control.db, kept, { minimumIdle: 0 }, holder);
    const [answers] = await Promise.all([
      Promise.all(Array.from({ length: 20 }, () => requestLease(hub.control, pool.name, {}, asked()))),
      settlePool(hub.control, pool.id),
    ]);
    const leased = new Set(answers.flatMap((answer) => (answer.ok ? [answer.value.machine.id] : [])));
    const retiring = new Set((await unsettledOperations(hub.control.db, { verb: "retire" })).map(({ machineId }) => machineId));
    expect(machineIds.filter((id) => leased.has(id) && retiring.has(id))).toEqual([]);
    expect(machineIds.filter((id) => !leased.has(id) && !retiring.has(id))).toEqual([]);
  });
});

describe("a lease", () => {
  it("waits for the moment in which a host's report holds all that wait, and takes one then", async () => {
    const { pool, machineIds } = await poolOf(2);
    const reported = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const reporting = hub.sql.begin(async (report) => {
      await report`select 1 from machines where host_id = ${hostId} for update`;
      held.resolve();
      await reported.promise;
    });
    await held.promise;
    const leases = [1, 2, 3].map(() => requestLease(hub.control, pool.name, {}, asked()));
    const isWaiting = () => hub.sql`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    await expect.poll(async () => (await isWaiting()).length, { timeout: 60_000 }).toBeGreaterThanOrEqual(3);
    reported.resolve();
    await reporting;
    const answers = await Promise.all(leases);
    expect(new Set(answers.flatMap((answer) => (answer.ok ? [answer.value.machine.id] : [])))).toEqual(new Set(machineIds));
    expect(answers.map(codeOf).toSorted()).toEqual(["ok", "ok", "pool_empty"]);
  });

  it("and reports that hold all machines again and again never wait for each other in a circle", async () => {
    const { pool } = await poolOf(40);
    const ended = { leases: false };
    const report = async () => {
      while (!ended.leases)
        await hub.sql.begin(async (tx) => {
          for (const { id } of await tx`select id from machines where host_id = ${hostId} order by random()`)
            await tx`update machines set updated_at = now() where id = ${id}`;
        });
    };
    const reporting = report();
    const leases = Array.from({ length: 40 }, () => requestLease(hub.control, pool.name, {}, asked()));
    const answers = await Promise.all(leases).finally(() => (ended.leases = true));
    await reporting;
    expect(answers.map(codeOf).filter((code) => code !== "ok")).toEqual([]);
  });

  it("prefers machines of hosts that report, and of the pool as it is now", async () => {
    const { pool, machineIds } = await poolOf(3);
    const [late = "", outdated = "", best = ""] = machineIds;
    const quiet = await addHost(hub);
    await hub.sql`update hosts set last_report_at = now() - interval '15 seconds' where id = ${quiet}`;
    await updateMachine(hub.control.db, late, { hostId: quiet });
    await hub.sql`update pooled_machines set revision = 0 where machine_id = ${outdated}`;
    const order = [];
    for (const _ of machineIds) order.push(unwrap(await requestLease(hub.control, pool.name, {}, asked())).machine.id);
    expect(order).toEqual([best, outdated, late]);
  });
});

describe("a machine", () => {
  it("that somebody acts on, that is off, or whose host is silent is not leased", async () => {
    const { pool, machineIds } = await poolOf(4);
    const [acted = "", off = "", due = "", silent = ""] = machineIds;
    unwrap(await requestAction(hub.control, acted, { verb: "capture" }, { actor: system("default"), requestId: null }));
    await updateMachine(hub.control.db, off, { observed: "stopped" });
    await makeDue(hub.control.db, { machineId: due, isLeased: false });
    const quiet = await addHost(hub);
    await hub.sql`update hosts set last_report_at = now() - interval '35 seconds' where id = ${quiet}`;
    await updateMachine(hub.control.db, silent, { hostId: quiet });
    const refused = await requestLease(hub.control, pool.name, {}, asked());
    expect(refused).toMatchObject({
      ok: false,
      fault: { code: "pool_empty", message: expect.stringContaining("host that does not report") },
    });
  });

  it("that waits suspended is resumed by an operation of its lessee; where that is refused it waits on for the next", async () => {
    const { pool, machineIds } = await poolOf(1, { idleState: "suspended" });
    await hub.sql`update hosts set overcommit_cpu = 0.01 where id = ${hostId}`;
    expect(codeOf(await requestLease(hub.control, pool.name, {}, asked()))).toBe("no_capacity");
    expect(unwrap(await findAnyMachine(hub.control.db, machineIds[0] ?? ""))).toMatchObject({ owner: "keeper", expiresAt: null });
    await hub.sql`update hosts set overcommit_cpu = 16, overcommit_memory = 8 where id = ${hostId}`;
    const idempotency = { key: randomUUID(), route: "POST /pools/p/lease", body: {} };
    const lease = unwrap(await requestLease(hub.control, pool.name, {}, asked({ idempotency })));
    expect(lease.operation).toMatchObject({ verb: "resume", machineId: machineIds[0], actor: someone.username });
    expect(unwrap(await requestLease(hub.control, pool.name, {}, asked({ idempotency }))).operation?.id).toBe(lease.operation?.id);
  });

  it("is leased for no longer than the pool gives, and only its lessee or who may retire machines gives it back", async () => {
    const { pool } = await poolOf(1, { leaseSeconds: 60 });
    const lease = unwrap(await requestLease(hub.control, pool.name, { ttlSeconds: 3600 }, asked()));
    const seconds = ((lease.expiresAt?.getTime() ?? 0) - lease.leasedAt.getTime()) / 1000;
    expect(Math.round(seconds)).toBe(60);
    const other = { ...someone, userId: "user-2", username: "other" };
    expect(codeOf(await requestRelease(hub.control, pool.name, lease.id, asked({ actor: other })))).toBe("lease_not_found");
    const retire = unwrap(await requestRelease(hub.control, pool.name, lease.machine.name, asked()));
    expect(retire).toMatchObject({ verb: "retire", machineId: lease.machine.id });
    expect(unwrap(await requestRelease(hub.control, pool.name, lease.id, asked())).id).toBe(retire.id);
    expect(codeOf(await requestLease(hub.control, pool.name, {}, asked({ actor: { ...someone, project: "elsewhere" } })))).toBe(
      "pool_not_found",
    );
  });
});

describe("ten who settle one pool at once", () => {
  it("make what is missing once, and what the maximum allows", async () => {
    const { pool } = await poolOf(0, { minimumIdle: 8, maximum: 6 + 2 });
    await Promise.all(Array.from({ length: 10 }, () => settlePool(hub.control, pool.id)));
    expect(await livingOf(pool.id)).toHaveLength(8);
  });

  it("ask for nothing where a quota refuses it, and say so", async () => {
    await hub.sql`update projects set max_machines = 1 where id = 'default'`;
    const { pool } = await poolOf(0, { minimumIdle: 2 });
    const { words } = await settlePool(hub.control, pool.id);
    expect(words).toContain("No machine can be asked for");
    expect(await hub.control.db.select().from(pooledMachines).where(eq(pooledMachines.poolId, pool.id))).toEqual([]);
    expect((await readPool(hub.control.db, pool.id))?.refused?.fault.code).toBe("quota_exceeded");
  });
});
