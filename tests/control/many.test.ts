/** Many machines by one request on a real database: all or nothing, the same key the same machines, and no host given away twice. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { batchActivities } from "../../activities/hub/many.ts";
import { placeMachine } from "../../activities/hub/placing.ts";
import { handOver, sweepBatches } from "../../control/batches.ts";
import { cancelOperation } from "../../control/cancel.ts";
import { decideStep } from "../../control/decide.ts";
import { requestMachine } from "../../control/machines.ts";
import { requestMachines } from "../../control/many.ts";
import { startIntended } from "../../control/sweep.ts";
import { drawFences, findBatch } from "../../db/batches.ts";
import { findOperation } from "../../db/operations.ts";
import { listSteps } from "../../db/steps.ts";
import { unwrap } from "../../domain/errors.ts";
import type { NewMachine } from "../../domain/machines/schema.ts";
import type { PlacedMany } from "../../workflows/machines/provision-many.ts";
import { addHost, asked, codeOf, gibibyte, newMachine, openStocked, someone, type Hub } from "./hub.ts";

let hub: Hub;
beforeAll(async () => {
  ({ hub } = await openStocked());
});
afterAll(() => hub.close());

const many = (count: number, more: Partial<NewMachine> = {}) => ({ ...newMachine({ memoryBytes: gibibyte, ...more }), count });
const activities = () => {
  const { db, hubId, reserve } = hub.control;
  return batchActivities({ db, hubId, reserve, handOver: (leaving) => handOver(hub.control, leaving) });
};
const rows = async (table: "machines" | "operations" | "intents" | "holds") =>
  Number((await hub.sql`select count(*) as n from ${hub.sql(table)}`)[0]?.["n"]);
const counts = async () => Promise.all((["machines", "operations", "intents", "holds"] as const).map(rows));
const batchIn = async (operationId: string) =>
  String((await hub.sql`select workflow_input->>'batch' as batch from intents where operation_id = ${operationId}`)[0]?.["batch"]);

/** Hosts that alone take machines, with the image in their caches. */
async function onlyHosts(cpus: readonly number[]): Promise<string[]> {
  await hub.sql`update hosts set enabled = false`;
  const ids = [];
  for (const own of cpus) ids.push(await addHost(hub, { cpus: own }));
  await hub.sql`update hosts set last_report_at = now(), cached = (select jsonb_agg(jsonb_build_object('digest', digest, 'bytes', 1)) from image_versions) where id = any(${ids})`;
  return ids;
}

async function begin(count: number, more: Partial<NewMachine> = {}) {
  await hub.sql`update hosts set last_report_at = now()`;
  const begun = unwrap(await requestMachines(hub.control, many(count, more), asked()));
  const [first] = begun;
  if (!first) throw new Error("Nothing was accepted.");
  return { begun, batch: await batchIn(first.operation.id), ids: begun.map(({ operation }) => operation.id) };
}

const isBatched = async (operationId: string) => (await findBatch(hub.control.db, operationId)) !== null;
const placesOf = ({ hosts }: PlacedMany) =>
  new Map(hosts.flatMap(({ hostId, machines }) => machines.map(({ operationId, epoch }) => [operationId, `${hostId} ${epoch}`])));

describe("many machines by one request", () => {
  it("are accepted with names by number, and the same request again answers the same machines", async () => {
    const wanted = many(3, { name: "ci" });
    const idempotency = { route: "POST /machines", key: randomUUID(), body: wanted };
    const first = unwrap(await requestMachines(hub.control, wanted, asked({ idempotency })));
    expect(first.map(({ machine }) => machine.name)).toEqual(["ci-1", "ci-2", "ci-3"]);
    const before = await counts();
    const again = unwrap(await requestMachines(hub.control, wanted, asked({ idempotency })));
    expect(again.map(({ operation, machine }) => [operation.id, machine.id])).toEqual(
      first.map(({ operation, machine }) => [operation.id, machine.id]),
    );
    expect(await counts()).toEqual(before);
  });

  it("are none at all where one name is taken, or the project may not have them all", async () => {
    const { name } = newMachine();
    unwrap(await requestMachine(hub.control, newMachine({ name: `${name}-2` }), asked()));
    const before = await counts();
    expect(codeOf(await requestMachines(hub.control, many(3, { name }), asked()))).toBe("machine_exists");
    const [{ n } = { n: 0 }] = await hub.sql`select count(*)::int as n from machines where retired_at is null`;
    await hub.sql`update projects set max_machines = ${Number(n) + 2} where id = 'default'`;
    expect(codeOf(await requestMachines(hub.control, many(3), asked()))).toBe("quota_exceeded");
    await hub.sql`update projects set max_machines = null where id = 'default'`;
    expect(await counts()).toEqual(before);
  });

  it("take no more than hosts have, as many as would be placed one by one, and the same when they are placed again", async () => {
    const hostIds = await onlyHosts([4, 6]);
    const { batch, ids } = await begin(20, { vcpus: 1 });
    const single = unwrap(await requestMachine(hub.control, newMachine({ vcpus: 2, memoryBytes: gibibyte }), asked()));
    const { db, hubId, reserve } = hub.control;
    const [placed] = await Promise.all([
      activities().placeMany({ batch }),
      placeMachine({ db, hubId, reserve }, { operationId: single.operation.id, excluded: [] }).catch(() => null),
    ]);
    const taken = await hub.sql`select host_id, sum(vcpus)::int as vcpus from placements where host_id = any(${hostIds}) group by host_id`;
    expect(Object.fromEntries(taken.map((row) => [String(row["host_id"]), row["vcpus"]]))).toEqual({
      [hostIds[0] ?? ""]: 3,
      [hostIds[1] ?? ""]: 5,
    });
    const made = placed.hosts.flatMap((host) => host.machines);
    expect(made.length + placed.left.length).toBe(ids.length);
    const again = await activities().placeMany({ batch });
    expect(placesOf(again)).toEqual(placesOf(placed));
  });
});

describe("an operation of a batch", () => {
  it("that is recorded is settled with its steps, holds and intent; one that fell out before is left alone", async () => {
    await onlyHosts([9]);
    const { batch, ids, begun } = await begin(2, { vcpus: 1 });
    const [kept = "", fallen = ""] = ids;
    const { shared, hosts } = await activities().placeMany({ batch });
    const [host] = hosts;
    if (!shared || !host) throw new Error("Nothing was placed.");
    await activities().handOver({ batch, operationIds: [fallen] });
    const seen = { macAddress: null, bundlePath: "/machines/x.pvm", diskBytes: 5, addresses: ["10.0.0.1"] };
    await activities().recordMany({ batch, hostId: host.hostId, shared, made: ids.map((operationId) => ({ operationId, made: seen })) });
    const [done, other] = await Promise.all([kept, fallen].map(async (id) => unwrap(await findOperation(hub.control.db, id))));
    expect([done?.state, other?.state]).toEqual(["done", "running"]);
    expect(new Set((await listSteps(hub.control.db, kept)).map(({ state }) => state))).toEqual(new Set(["done"]));
    const held = await hub.sql`select operation_id from holds where operation_id = any(${ids})`;
    expect(held.map((row) => row["operation_id"])).toEqual([fallen]);
    const [machine] = await hub.sql`select observed, addresses, bundle_path from machines where id = ${begun[0]?.machine.id ?? ""}`;
    expect(machine).toMatchObject({ observed: "running", addresses: ["10.0.0.1"], bundle_path: "/machines/x.pvm" });
    expect(await hub.control.temporal.workflow.getHandle(other?.workflowId ?? "").describe()).toMatchObject({ type: "provision" });
  });

  it("is begun by no other host, and by none once it has fallen out", async () => {
    const [hostId = ""] = await onlyHosts([9]);
    const { batch, ids } = await begin(1, { vcpus: 1 });
    await activities().placeMany({ batch });
    const fences = (asking: string) => drawFences(hub.control.db, { batch, hostId: asking, operationIds: ids });
    expect(await fences(randomUUID())).toEqual({});
    const [first, second] = [await fences(hostId), await fences(hostId)];
    expect(Object.keys(first)).toEqual(ids);
    expect(second[ids[0] ?? ""]).toBeGreaterThan(first[ids[0] ?? ""] ?? 0);
    await activities().handOver({ batch });
    expect(await fences(hostId)).toEqual({});
  });

  it("falls out when it is cancelled, and its own workflow knows where it stands", async () => {
    const [hostId] = await onlyHosts([9]);
    const { batch, ids } = await begin(2, { vcpus: 1 });
    await activities().placeMany({ batch });
    const [one = "", other = ""] = ids;
    expect(codeOf(await decideStep(hub.control, one, "retry", asked()))).toBe("operation_not_parked");
    const cancelled = unwrap(await cancelOperation(hub.control, one, asked({ actor: someone })));
    expect(cancelled.state).toBe("cancelling");
    const handle = hub.control.temporal.workflow.getHandle(cancelled.workflowId);
    const { events } = await handle.fetchHistory();
    expect(events?.some(({ workflowExecutionCancelRequestedEventAttributes: asks }) => asks)).toBe(true);
    expect([await isBatched(one), await isBatched(other)]).toEqual([false, true]);
    const [machine] = await hub.sql`select host_id, epoch from machines where id = ${cancelled.machineId}`;
    expect(machine).toEqual({ host_id: hostId, epoch: 1 });
  });

  it("goes on alone when its batch was ended from outside, and when its host is lost", async () => {
    const [hostId = ""] = await onlyHosts([9]);
    const { batch, ids } = await begin(2, { vcpus: 1 });
    await startIntended(hub.control);
    expect(await Promise.all(ids.map((id) => isBatched(id)))).toEqual([true, true]);
    await hub.control.temporal.workflow.getHandle(batch).terminate();
    await hub.sql`update intents set created_at = now() - interval '1 minute' where workflow_input->>'batch' = ${batch}`;
    await sweepBatches(hub.control);
    expect(await Promise.all(ids.map((id) => isBatched(id)))).toEqual([false, false]);

    const next = await begin(2, { vcpus: 1 });
    await activities().placeMany({ batch: next.batch });
    await hub.sql`update hosts set told_state = 'lost' where id = ${hostId}`;
    await sweepBatches(hub.control);
    expect(await Promise.all(next.ids.map((id) => isBatched(id)))).toEqual([false, false]);
  });
});
