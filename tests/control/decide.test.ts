/** Guarantees of an operator's word on a step: taken once, kept in the audit, refused in words, and answered in time whatever is away. */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { Readable, Writable } from "node:stream";
import { promisify } from "node:util";
import { ApplicationFailure, Client, Connection } from "@temporalio/client";
import { DefaultLogger, NativeConnection, Runtime, Worker } from "@temporalio/worker";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { serveApi } from "../../api/serve.ts";
import { openContext } from "../../cli/context.ts";
import type { Parts } from "../../cli/parts.ts";
import { runCommand } from "../../cli/program.ts";
import { cancelOperation } from "../../control/cancel.ts";
import { nextAttempts } from "../../control/attempts.ts";
import { decideStep } from "../../control/decide.ts";
import { requestAction, requestMachine } from "../../control/machines.ts";
import { requestRetire } from "../../control/retire.ts";
import { observeMachine, updateMachine } from "../../db/machines.ts";
import { findOperation } from "../../db/operations.ts";
import { insertPlacement } from "../../db/placements.ts";
import { audit, events } from "../../db/schema.ts";
import { temporalBinary } from "../../deploy/toolchain/temporal.ts";
import { FaultError, unwrap, type Code } from "../../domain/errors.ts";
import { MachineAction, NewMachine } from "../../domain/machines/schema.ts";
import { hostQueue } from "../../domain/operations/rules.ts";
import { faultInterceptor } from "../../workers/faults.ts";
import { hubWorker } from "../../workers/hub.ts";
import { hubConverter } from "../../workers/temporal.ts";
import { openWorld, rootPassword, type World } from "../api/world.ts";
import { addHost, addImage, addStore, asked } from "./hub.ts";

Runtime.install({ logger: new DefaultLogger("ERROR"), shutdownSignals: [] });

let world: World;
let root: string;
let hostId: string;
let connection: NativeConnection;
let hubRuns: { worker: Worker; ended: Promise<void> };
let mac: { worker: Worker; ended: Promise<void> };
/** What the one host answers when it acts on a machine; each machine has its own. */
const acts = new Map<string, () => Promise<object>>();
const done = async () => ({ observed: "running", addresses: ["10.0.0.9"] });
const act = ({ machineId }: { machineId: string }) => (acts.get(machineId) ?? done)();
const end = ({ machineId }: { machineId: string }) => (acts.get(`end of ${machineId}`) ?? done)();
const running = (worker: Worker) => ({ worker, ended: worker.run() });
const startHub = async () => running(await hubWorker({ control: world.control, codec: world.codec, connection }));

beforeAll(async () => {
  world = await openWorld();
  root = await world.login("root", rootPassword);
  await addImage(world, await addStore(world), "ubuntu");
  hostId = await addHost(world, { cpus: 100 });
  connection = await NativeConnection.connect({ address: inject("temporalAddress") });
  const worker = await Worker.create({
    connection,
    namespace: world.namespace,
    taskQueue: hostQueue(hostId),
    dataConverter: hubConverter(world.codec),
    activities: { actOnMachine: act, stopMachine: end, removeMachine: end },
    interceptors: { activity: [faultInterceptor()] },
  });
  mac = running(worker);
  hubRuns = await startHub();
}, 180_000);
afterAll(async () => {
  for (const { worker } of [mac, hubRuns]) worker.shutdown();
  await Promise.all([mac.ended, hubRuns.ended]);
  await connection.close();
  await world.close();
});

/** A stopped machine on the host that never was made. */
async function standing(): Promise<string> {
  const { db } = world.control;
  const wanted = NewMachine.parse({ name: `m-${randomUUID()}`, image: { catalogId: "ubuntu" }, hostLabels: ["nowhere"], waitSeconds: 0 });
  const { machine, operation } = unwrap(await requestMachine(world.control, wanted, asked()));
  await until(operation.id, "failed");
  const id = randomUUID();
  const { vcpus, memoryBytes, diskBytes } = machine;
  await world.sql`update machines set id = ${id}, retired_at = null, desired = 'stopped' where id = ${machine.id}`;
  await insertPlacement(db, { machineId: id, epoch: 1, hostId, vcpus, memoryBytes, diskBytes, macos: false, runs: false });
  await updateMachine(db, id, { hostId });
  await observeMachine(db, id, "stopped");
  return id;
}
const stateOf = async (id: string) => unwrap(await findOperation(world.control.db, id)).state;
const until = (id: string, state: string) => expect.poll(() => stateOf(id), { timeout: 60_000, interval: 30 }).toBe(state);
const failing = (code: Code, times = Number.POSITIVE_INFINITY) => {
  let left = times;
  return async () => {
    if (left-- > 0) throw new FaultError({ code, message: `It met ${code}.` });
    return done();
  };
};

/** A start that is parked, or waits for its next attempt, as its host's answers make it. */
async function started(answer: () => Promise<object>) {
  const machineId = await standing();
  acts.set(machineId, answer);
  return unwrap(await requestAction(world.control, machineId, MachineAction.parse({ verb: "start" }), asked({ onFault: "park" })));
}
async function parkedStart(times?: number) {
  const operation = await started(failing("licence_expired", times));
  await until(operation.id, "parked");
  return operation;
}
const say = (id: string, word: string, headers: Record<string, string> = {}) =>
  world.call("POST", `/api/v2/operations/${id}/${word}`, { token: root, headers });
const auditOf = async (id: string) => {
  const rows = await world.control.db.select().from(audit).where(eq(audit.operationId, id)).orderBy(audit.at);
  return rows.filter(({ action }) => /retry|skip|abort/.test(action));
};
const told = (rows: Awaited<ReturnType<typeof auditOf>>) => rows.map(({ actor, action, outcome }) => `${actor} ${action} ${outcome}`);

it("gives up the wait of a cancelled operation for a lost host by abort, and refuses it while the host is there", async () => {
  const { id, workflowId } = await parkedStart();
  const reported = (ago: string) => world.sql`update hosts set last_report_at = clock_timestamp() - ${ago}::interval where id = ${hostId}`;
  await reported("1 minute");
  try {
    await world.control.temporal.workflow.getHandle(workflowId).signal("hostLost", hostId);
    unwrap(await cancelOperation(world.control, id, asked()));
    await until(id, "cancelling");
    await reported("0 seconds");
    expect(await say(id, "abort")).toMatchObject({ status: 412, body: { code: "operation_not_parked" } });
    await reported("1 minute");
    expect((await say(id, "abort")).status).toBe(202);
    await until(id, "cancelled");
  } finally {
    await reported("0 seconds");
  }
});

describe("a parked step", () => {
  it("is tried again by `retry`, which the answer shows, the audit keeps, and the same key does once", async () => {
    const { id, subject } = await parkedStart(2);
    const key = { "Idempotency-Key": "one", "X-Request-Id": "trace-7" };
    expect(await say(id, "retry", key)).toMatchObject({ status: 202, body: { id } });
    await expect.poll(async () => (await auditOf(id)).length, { timeout: 60_000 }).toBe(2);
    await until(id, "parked");
    expect(await say(id, "retry", key)).toMatchObject({ status: 202, body: { state: "parked" } });
    expect(told(await auditOf(id))).toEqual(["root start.retry accepted", "root start.retry done"]);
    expect(new Set((await auditOf(id)).map((row) => `${row.subject} ${row.requestId}`))).toEqual(new Set([`${subject}: start trace-7`]));

    const answer = await say(id, "retry");
    expect(answer.status).toBe(202);
    expect(answer.body.state).not.toBe("parked");
    await until(id, "done");
    const decided = await world.control.db.select().from(events).where(eq(events.name, "step.decided"));
    expect(decided.filter(({ operationId }) => operationId === id).map(({ body }) => body)).toEqual(
      Array.from({ length: 2 }, () => ({ step: "start", decision: "retry", by: "root" })),
    );
  }, 180_000);

  it("refuses `skip` where it may not be left out, and says so in the audit; `abort` ends it", async () => {
    const { id } = await parkedStart();
    expect(await say(id, "skip")).toMatchObject({ status: 412, body: { code: "step_not_skippable" } });
    expect(await say(id, "abort", { "Idempotency-Key": "a" })).toMatchObject({ status: 202 });
    await until(id, "failed");
    expect(unwrap(await findOperation(world.control.db, id)).fault).toMatchObject({
      code: "operation_aborted",
      message: "The step start was aborted by an operator: It met licence_expired.",
    });
    expect(told(await auditOf(id))).toEqual([
      "root start.skip accepted",
      "root start.skip refused",
      "root start.abort accepted",
      "root start.abort done",
    ]);
    expect(await say(id, "abort", { "Idempotency-Key": "a" })).toMatchObject({ status: 202, body: { state: "failed" } });
    expect(await say(id, "abort")).toMatchObject({ status: 409, body: { code: "operation_settled" } });
  }, 180_000);

  it("is left out by `skip` where it may be, and the next one does not take a word that was meant for it", async () => {
    const machineId = await standing();
    acts.set(`end of ${machineId}`, failing("licence_expired"));
    const { id, workflowId } = unwrap(await requestRetire(world.control, machineId, { force: true }, asked()));
    await until(id, "parked");
    expect(await say(id, "skip")).toMatchObject({ status: 202 });
    await expect
      .poll(async () => (await world.call("GET", `/api/v2/operations/${id}`, { token: root })).body.steps?.[1]?.state)
      .toBe("parked");
    const late = world.control.temporal.workflow.getHandle(workflowId).executeUpdate("skip", { args: [{ step: "stop" }] });
    await expect(late).rejects.toThrow();
    expect(await stateOf(id)).toBe("parked");
    acts.clear();
    expect(await say(id, "retry")).toMatchObject({ status: 202 });
    await until(id, "done");
  }, 180_000);

  it("takes the word of the stock `temporal` command, which needs no key, and the audit says where it came from", async () => {
    const { id, workflowId } = await parkedStart(1);
    const where = ["--address", inject("temporalAddress"), "--namespace", world.namespace, "--disable-config-file"];
    const words = ["workflow", "update", "execute", "--workflow-id", workflowId, "--name", "retry"];
    await promisify(execFile)(await temporalBinary(), [...words, ...where]);
    await until(id, "done");
    expect(told(await auditOf(id))).toEqual(["temporal start.retry done"]);
  }, 180_000);
});

describe("an operation that is not parked", () => {
  it("refuses in words, and others' operations are not there", async () => {
    const going = Promise.withResolvers<object>();
    const { id } = await started(() => going.promise);
    await expect.poll(async () => (await say(id, "abort")).body.message).toBe("There is nothing to abort: the operation works.");
    expect(await say(id, "retry")).toMatchObject({
      status: 412,
      body: { code: "operation_not_parked", message: expect.stringContaining("none of its steps waits") },
    });
    going.resolve(await done());
    await until(id, "done");
    expect(await say(id, "retry")).toMatchObject({ status: 409, body: { code: "operation_settled" } });
    expect(await say(randomUUID(), "retry")).toMatchObject({ status: 404, body: { code: "operation_not_found" } });
    const user = { username: "jdoe", name: "J", email: "j@example.com", password: "Correct-horse-8!" };
    await world.call("POST", "/api/v1/auth/users", { token: root, body: user });
    const token = await world.login("jdoe", user.password);
    expect(await world.call("POST", `/api/v2/operations/${id}/retry`, { token })).toMatchObject({ status: 404 });
  }, 180_000);

  it("tells why a step failed and when it is tried again, and `retry` begins that attempt now", async () => {
    const fault = { code: "prlctl_failed", message: "It met prlctl_failed." };
    let tries = 0;
    const { id } = await started(async () => {
      tries += 1;
      if (tries > 1) return done();
      throw ApplicationFailure.create({ type: fault.code, message: fault.message, details: [fault], nextRetryDelay: "1 hour" });
    });
    const detail = async () => (await world.call("GET", `/api/v2/operations/${id}`, { token: root })).body;
    await expect.poll(async () => (await detail()).nextAttempt, { timeout: 60_000 }).toMatchObject({ step: "start", attempt: 2, fault });
    const { at } = (await detail()).nextAttempt;
    expect(Date.parse(at) - Date.now()).toBeGreaterThan(50 * 60_000);
    expect(await say(id, "skip")).toMatchObject({ status: 412, body: { code: "operation_not_parked" } });
    expect(await say(id, "retry")).toMatchObject({ status: 202 });
    await until(id, "done");
    expect(tries).toBe(2);
    expect((await detail()).nextAttempt).toBeNull();
    expect(told(await auditOf(id))).toEqual(["root start.retry accepted", "root start.retry done"]);
  }, 180_000);
});

describe("the command", () => {
  it("shows what a parked step waits for and mends it; says why it may not; counts what was given up as done", async () => {
    const served = await serveApi((request) => world.app.fetch(request), { host: "127.0.0.1", port: 0 });
    const env = { DROVER_URL: `http://127.0.0.1:${served.port}`, DROVER_TOKEN: root };
    try {
      const { id } = await parkedStart(1);
      const shown = await drover(env, "operation", "show", id);
      for (const words of ["parked", "It met licence_expired.", "Renew the Parallels Desktop licence", `drover operation retry ${id}`])
        expect(shown.out).toContain(words);
      expect(await drover(env, "operation", "skip", id)).toMatchObject({ code: 5, err: expect.stringContaining("cannot be skipped") });
      const mended = await drover(env, "operation", "retry", id);
      expect(mended).toMatchObject({ code: 0, out: expect.stringContaining("done in"), err: expect.stringContaining("tried again") });
      expect(await drover(env, "operation", "retry", id)).toMatchObject({ code: 5, err: expect.stringContaining("has already ended") });
      const other = await parkedStart();
      expect(await drover(env, "operation", "abort", other.id)).toMatchObject({ code: 0, out: expect.stringContaining("was given up") });
    } finally {
      await served.close(0);
    }
  }, 180_000);
});

describe("what is away", () => {
  it("a hub worker: the word is refused in time as one to send again, and done once when it is back", async () => {
    const { id } = await parkedStart(1);
    hubRuns.worker.shutdown();
    await hubRuns.ended;
    const key = { "Idempotency-Key": "patient" };
    const began = performance.now();
    expect(await say(id, "retry", key)).toMatchObject({
      status: 503,
      body: { code: "hub_unavailable", message: expect.stringContaining("same Idempotency-Key") },
    });
    expect(performance.now() - began).toBeLessThan(7_000);
    hubRuns = await startHub();
    await expect.poll(async () => (await say(id, "retry", key)).status, { timeout: 60_000 }).toBe(202);
    await until(id, "done");
    expect(told(await auditOf(id))).toEqual(["root start.retry accepted", "root start.retry done"]);
  }, 180_000);

  it("Temporal: an operation is still shown at once, and a word is refused in time", async () => {
    const { id } = await parkedStart();
    const silent = await listening();
    const away = Connection.lazy({ address: `127.0.0.1:${(silent.address() as AddressInfo).port}` });
    const control = { ...world.control, temporal: new Client({ connection: away, namespace: world.namespace }) };
    const parked = unwrap(await findOperation(world.control.db, id));
    try {
      const began = performance.now();
      expect(await nextAttempts(control)({ ...parked, state: "running" }, "start")).toBeNull();
      expect(performance.now() - began).toBeLessThan(1_000);
      const refused = await decideStep(control, id, "retry", asked());
      expect(refused).toMatchObject({ ok: false, fault: { code: "hub_unavailable" } });
      expect(performance.now() - began).toBeLessThan(8_000);
    } finally {
      await away.close();
      silent.close();
    }
    expect((await say(id, "abort")).status).toBe(202);
    await until(id, "failed");
  }, 180_000);
});

/** The command line without a process of its own. */
async function drover(env: Record<string, string>, ...words: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const written = { out: "", err: "" };
  const into = (name: "out" | "err") =>
    new Writable({
      write: (part: Buffer, _encoding, next) => {
        written[name] += String(part);
        next();
      },
    });
  const streams = { out: into("out"), err: into("err"), in: Readable.from([]) };
  const code = await runCommand(openContext({ env, folder: tmpdir(), streams, parts: {} as Parts, onSignal: () => () => {} }), words);
  return { code, ...written };
}

/** Takes connections and says nothing. */
async function listening(): Promise<Server> {
  const server = createServer((socket) => void socket.on("error", () => undefined).unref());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}
