/** Guarantees of the hub worker as it is composed: a retire pushes aside who holds the machine, and what the database knows is what happened. */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Context } from "@temporalio/activity";
import { DefaultLogger, NativeConnection, Runtime, Worker } from "@temporalio/worker";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { requestAction, requestMachine } from "../../control/machines.ts";
import { requestRetire } from "../../control/retire.ts";
import { findAnyMachine, findMachine, observeMachine, updateMachine } from "../../db/machines.ts";
import { findOperation } from "../../db/operations.ts";
import { insertPlacement } from "../../db/placements.ts";
import { placements } from "../../db/schema.ts";
import { listSteps } from "../../db/steps.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { MachineAction, NewMachine } from "../../domain/machines/schema.ts";
import { hostQueue } from "../../domain/operations/rules.ts";
import { workflowBundle } from "../../workers/bundle.ts";
import { faultInterceptor } from "../../workers/faults.ts";
import { hubWorker } from "../../workers/hub.ts";
import { hubConverter } from "../../workers/temporal.ts";
import { addHost, addImage, addStore, asked, openHub, type Hub } from "./hub.ts";

Runtime.install({ logger: new DefaultLogger("ERROR"), shutdownSignals: [] });

let hub: Hub;
let connection: NativeConnection;
const workers: Worker[] = [];
const running: Promise<void>[] = [];
/** What the one host does when it is asked to act. */
let act: () => Promise<object> = async () => ({ observed: "running", addresses: ["10.0.0.9"] });
let hostId: string;

beforeAll(async () => {
  hub = await openHub();
  await addImage(hub, await addStore(hub), "ubuntu");
  hostId = await addHost(hub, { cpus: 100 });
  connection = await NativeConnection.connect({ address: inject("temporalAddress") });
  const mac = await Worker.create({
    connection,
    namespace: hub.namespace,
    taskQueue: hostQueue(hostId),
    dataConverter: hubConverter(hub.codec),
    activities: { actOnMachine: () => act(), stopMachine: async () => {}, removeMachine: async () => {} },
    interceptors: { activity: [faultInterceptor()] },
    maxHeartbeatThrottleInterval: "100 milliseconds",
  });
  workers.push(mac, await hubWorker({ control: hub.control, codec: hub.codec, connection }));
  running.push(...workers.map((worker) => worker.run()));
});
afterAll(async () => {
  for (const worker of workers) worker.shutdown();
  await Promise.all(running);
  await connection.close();
  await hub.close();
});

async function standing() {
  const { db } = hub.control;
  const { machine, operation } = unwrap(
    await requestMachine(
      hub.control,
      NewMachine.parse({ name: `m-${randomUUID()}`, image: { catalogId: "ubuntu" }, hostLabels: ["nowhere"], waitSeconds: 0 }),
      asked(),
    ),
  );
  await ended(operation.id);
  const id = randomUUID();
  const { vcpus, memoryBytes, diskBytes } = machine;
  await hub.sql`update machines set id = ${id}, retired_at = null, desired = 'stopped' where id = ${machine.id}`;
  await insertPlacement(db, { machineId: id, epoch: 1, hostId, vcpus, memoryBytes, diskBytes, macos: false, runs: false });
  await updateMachine(db, id, { hostId });
  await observeMachine(db, id, "stopped");
  return id;
}
const stateOf = async (id: string) => unwrap(await findOperation(hub.control.db, id)).state;
const ended = (id: string) => expect.poll(() => stateOf(id), { timeout: 60_000, interval: 50 }).toMatch(/done|failed|cancelled/);
const start = (machineId: string) =>
  requestAction(hub.control, machineId, MachineAction.parse({ verb: "start" }), asked({ onFault: "fail" }));

/** Acts until it is cancelled, as a machine that never boots would. */
async function forever(): Promise<object> {
  const beating = setInterval(() => Context.current().heartbeat(), 50);
  await Context.current().cancelled.finally(() => clearInterval(beating));
  return {};
}

describe("an action", () => {
  it("records what its host saw, and its steps", async () => {
    const machineId = await standing();
    act = async () => ({ observed: "running", addresses: ["10.0.0.9"], result: { answer: 42 } });
    const { id } = unwrap(await start(machineId));
    await ended(id);
    expect(unwrap(await findOperation(hub.control.db, id))).toMatchObject({ state: "done", result: { machineId, answer: 42 } });
    expect(unwrap(await findMachine(hub.control.db, machineId))).toMatchObject({
      observed: "running",
      desired: "running",
      addresses: ["10.0.0.9"],
    });
    expect((await listSteps(hub.control.db, id)).map(({ name, state }) => `${name} ${state}`)).toEqual(["start done", "record done"]);
  }, 180_000);

  it("that fails gives back what it reserved and says why, without what nobody foresaw", async () => {
    const machineId = await standing();
    act = async () => {
      throw new FaultError({ code: "outcome_unknown", message: "Nobody knows." });
    };
    const { id } = unwrap(await start(machineId));
    await ended(id);
    expect(unwrap(await findOperation(hub.control.db, id))).toMatchObject({
      state: "failed",
      fault: { code: "outcome_unknown", message: "Nobody knows." },
    });
    const [placement] = await hub.control.db.select().from(placements).where(eq(placements.machineId, machineId));
    expect(placement?.runs).toBe(false);
    expect(unwrap(await findMachine(hub.control.db, machineId)).desired).toBe("stopped");
  }, 180_000);
});

describe("a retire", () => {
  it("cancels the operation that holds the machine, waits for its undo, and ends the machine", async () => {
    const machineId = await standing();
    act = forever;
    const holder = unwrap(await start(machineId));
    const retire = unwrap(await requestRetire(hub.control, machineId, { force: true }, asked()));
    await ended(retire.id);
    expect(await stateOf(holder.id)).toBe("cancelled");
    expect(await stateOf(retire.id)).toBe("done");
    expect((await findMachine(hub.control.db, machineId)).ok).toBe(false);
    expect(await hub.control.db.select().from(placements).where(eq(placements.machineId, machineId))).toEqual([]);
    expect(unwrap(await requestRetire(hub.control, machineId, { force: true }, asked())).id).toBe(retire.id);
  }, 40_000);

  it("does not wait for an operation whose host is lost, and what that one does later changes nothing", async () => {
    const machineId = await standing();
    const stuck = Promise.withResolvers<object>();
    const begun = Promise.withResolvers<void>();
    act = async () => {
      const { heartbeat } = Context.current();
      const beating = setInterval(() => heartbeat(), 50);
      begun.resolve();
      return stuck.promise.finally(() => clearInterval(beating));
    };
    const holder = unwrap(await start(machineId));
    await begun.promise;
    await hub.sql`update hosts set last_report_at = now() - interval '1 hour' where id = ${hostId}`;
    const retire = unwrap(await requestRetire(hub.control, machineId, { force: true }, asked()));
    await ended(retire.id);
    expect(await stateOf(holder.id)).toBe("cancelled");
    stuck.resolve({ observed: "running", addresses: ["10.0.0.66"] });
    await hub.control.temporal.workflow
      .getHandle(holder.workflowId)
      .result()
      .catch(() => undefined);
    expect(await stateOf(holder.id)).toBe("cancelled");
    expect(unwrap(await findAnyMachine(hub.control.db, machineId))).toMatchObject({ observed: "absent", addresses: [] });
    await hub.sql`update hosts set last_report_at = now() where id = ${hostId}`;
  }, 40_000);
});

describe("the workflow bundle", () => {
  it("holds no zod and nothing of Node", async () => {
    const bundle = await workflowBundle(new DefaultLogger("ERROR"));
    const code = "code" in bundle ? bundle.code : await readFile(bundle.codePath, "utf8");
    expect(code).toMatch(/node_modules\/@temporalio\/workflow\//);
    expect(code).not.toMatch(/node_modules\/zod\//);
    expect(code).not.toMatch(/__webpack_require__\(\/\*! node:/);
  }, 180_000);
});
