/** Guarantees of the loops: what was promised is done once, what ended from outside is settled, what hosts say becomes known. */
import { randomUUID } from "node:crypto";
import { Client, Connection } from "@temporalio/client";
import { and, eq } from "drizzle-orm";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { cancelOperation } from "../../control/cancel.ts";
import { comparer } from "../../control/compare.ts";
import { lead, pauseMs } from "../../control/leader.ts";
import { requestAction, requestMachine } from "../../control/machines.ts";
import { endedSettler, retireDue, startIntended } from "../../control/sweep.ts";
import { holdersOf } from "../../db/holds.ts";
import { findHost } from "../../db/hosts.ts";
import { someoneListens, tellListening } from "../../db/listening.ts";
import { findMachine, observeMachine, updateMachine } from "../../db/machines.ts";
import { findOperation } from "../../db/operations.ts";
import { insertPlacement } from "../../db/placements.ts";
import { events, intents, observations, operations } from "../../db/schema.ts";
import { settleOperation } from "../../db/settlement.ts";
import { unwrap } from "../../domain/errors.ts";
import { NewMachine, type ObservedMachine } from "../../domain/machines/schema.ts";
import { addHost, addImage, addStore, asked, openHub, type Hub } from "./hub.ts";

let hub: Hub;
let cutOff: { client: Client };
beforeAll(async () => {
  hub = await openHub();
  await addImage(hub, await addStore(hub), "ubuntu");
  // A hub that lost its way to Temporal.
  const connection = Connection.lazy({ address: "127.0.0.1:1" });
  await connection.close();
  cutOff = { client: new Client({ connection, namespace: hub.namespace }) };
});
afterAll(() => hub.close());
// Each test looks at its own operations and machines only.
beforeEach(async () => {
  await hub.sql`update operations set state = 'failed' where state not in ('done', 'failed', 'cancelled')`;
  await hub.sql`update machines set retired_at = now() where retired_at is null`;
  await hub.sql`delete from intents`;
});

const newMachine = (more: Partial<NewMachine> = {}) =>
  NewMachine.parse({ name: `m-${randomUUID()}`, image: { catalogId: "ubuntu" }, ...more });
const make = async (control = hub.control, more: Partial<NewMachine> = {}) =>
  unwrap(await requestMachine(control, newMachine(more), asked()));
const stateOf = async (id: string) => unwrap(await findOperation(hub.control.db, id)).state;
const historyOf = async (workflowId: string) => (await hub.control.temporal.workflow.getHandle(workflowId).fetchHistory()).events ?? [];

async function standing(observed: "stopped" | "running" = "running") {
  const { db } = hub.control;
  const hostId = await addHost(hub);
  const { machine, operation } = await make();
  const { id: machineId, vcpus, memoryBytes, diskBytes } = machine;
  await insertPlacement(db, { machineId, epoch: 1, hostId, vcpus, memoryBytes, diskBytes, macos: false, runs: true });
  await updateMachine(db, machineId, { hostId });
  await observeMachine(db, machineId, observed);
  await settleOperation(db, { operationId: operation.id, steps: [], outcome: "done" });
  return { machineId, hostId, name: machine.name };
}
/** One that has listened long enough. */
const compare = () => comparer(hub.control, { listenMs: 0 })();
const reported = (hostId: string) =>
  hub.sql`update hosts set last_report_at = clock_timestamp(), inventory_after = clock_timestamp() where id = ${hostId}`;
const silent = (hostId: string, seconds: number) =>
  hub.sql`update hosts set last_report_at = now() - make_interval(secs => ${seconds}) where id = ${hostId}`;

describe("an intent that a crash left", () => {
  it("is started exactly once, by however many sweeps", async () => {
    const { operation } = await make({ ...hub.control, temporal: cutOff.client });
    expect(operation.state).toBe("pending");
    await hub.sql`update intents set created_at = now() - interval '10 seconds'`;
    await Promise.all([1, 2, 3].map(() => startIntended(hub.control)));
    expect(await stateOf(operation.id)).toBe("running");
    expect(await hub.control.db.select().from(intents)).toHaveLength(0);
    const description = await hub.control.temporal.workflow.getHandle(operation.workflowId).describe();
    expect(description.status.name).toBe("RUNNING");
    const told = await hub.control.db
      .select()
      .from(events)
      .where(and(eq(events.operationId, operation.id), eq(events.name, "operation.running")));
    expect(told).toHaveLength(1);
    // As if the process had died after the start and before it knew.
    await hub.control.db
      .insert(intents)
      .values({ operationId: operation.id, workflowType: "provision", workflowInput: {}, createdAt: new Date(0) });
    await startIntended(hub.control);
    expect((await hub.control.temporal.workflow.getHandle(operation.workflowId).describe()).runId).toBe(description.runId);
  });

  it("is cancelled as soon as it is started when it was cancelled before", async () => {
    const apart = { ...hub.control, temporal: cutOff.client };
    const { operation } = await make(apart);
    await hub.sql`update operations set state = 'cancelling' where id = ${operation.id}`;
    await hub.sql`update intents set created_at = now() - interval '10 seconds'`;
    await startIntended(hub.control);
    const asked = (await historyOf(operation.workflowId)).filter((event) => event.workflowExecutionCancelRequestedEventAttributes);
    expect(asked).toHaveLength(1);
  });
});

describe("a workflow that was terminated from outside", () => {
  it("has its operation settled, its hold released, and its half-made machine retired", async () => {
    const { operation, machine } = await make();
    await hub.control.temporal.workflow.getHandle(operation.workflowId).terminate("by hand");
    await endedSettler(hub.control)();
    const settled = unwrap(await findOperation(hub.control.db, operation.id));
    expect(settled.state).toBe("failed");
    expect(settled.fault?.code).toBe("operation_terminated");
    expect(await holdersOf(hub.control.db, { kind: "machine", subjectId: machine.id })).toEqual([]);
    await retireDue(hub.control);
    expect(await retiresOf(machine.id)).toHaveLength(1);
  });

  it("leaves operations alone whose workflow runs, and tells those to cancel that were not told", async () => {
    const { operation } = await make();
    const settle = endedSettler(hub.control);
    await settle();
    expect(await stateOf(operation.id)).toBe("running");
    unwrap(await cancelOperation({ ...hub.control, temporal: cutOff.client }, operation.id, asked()));
    await settle();
    const told = (await historyOf(operation.workflowId)).filter((event) => event.workflowExecutionCancelRequestedEventAttributes);
    expect(told).toHaveLength(1);
  }, 180_000);
});

const retiresOf = (machineId: string) =>
  hub.control.db
    .select()
    .from(operations)
    .where(and(eq(operations.machineId, machineId), eq(operations.verb, "retire")));

describe("a machine whose time to live is over", () => {
  it("is retired by one operation, even while another holds it", async () => {
    const { machine } = await make(hub.control, { ttlSeconds: 3600 });
    await retireDue(hub.control);
    expect(await retiresOf(machine.id)).toHaveLength(0);
    await hub.sql`update machines set expires_at = now() - interval '1 second' where id = ${machine.id}`;
    await Promise.all([1, 2, 3, 4, 5].map(() => retireDue(hub.control)));
    await retireDue(hub.control);
    expect(await retiresOf(machine.id)).toHaveLength(1);
  });
});

describe("a host that falls silent", () => {
  it("makes its operations know once, and once more when it is back", async () => {
    const { machineId, hostId } = await standing();
    const operation = unwrap(await requestAction(hub.control, machineId, { verb: "suspend" }, asked()));
    const signals = async () =>
      (await historyOf(operation.workflowId)).flatMap((event) => event.workflowExecutionSignaledEventAttributes?.signalName ?? []);
    await silent(hostId, 60);
    await compare();
    await compare();
    expect(await signals()).toEqual(["hostLost"]);
    await silent(hostId, 0);
    await compare();
    await compare();
    expect(await signals()).toEqual(["hostLost", "hostBack"]);
  });

  it("makes its machines unknown, and its next report tells what they are", async () => {
    const { machineId, hostId, name } = await standing();
    await silent(hostId, 60);
    await compare();
    expect(unwrap(await findMachine(hub.control.db, machineId)).observed).toBe("unknown");
    await reported(hostId);
    await hub.control.db.insert(observations).values({ hostId, machineId, facts: seen(machineId, name) });
    await compare();
    expect(unwrap(await findMachine(hub.control.db, machineId))).toMatchObject({ observed: "suspended", addresses: ["10.0.0.2"] });
  });

  it("is late once when its reports come now and then, and online again when they have come in time for a while", async () => {
    const hostId = await addHost(hub);
    const look = comparer(hub.control, { listenMs: 0, steadyMs: 400 });
    const told = async () => {
      const rows = await hub.control.db.select().from(events).where(eq(events.subjectId, hostId)).orderBy(events.at);
      return rows.map(({ name }) => name);
    };
    await look();
    for (let report = 0; report < 10; report++) {
      await silent(hostId, 11);
      await look();
      await silent(hostId, 0);
      await look();
      expect(unwrap(await findHost(hub.control.db, hostId)).state).toBe("late");
    }
    expect(await told()).toEqual(["host.online", "host.late"]);
    const steady = async () => {
      await silent(hostId, 0);
      await look();
      return told();
    };
    await expect.poll(steady, { timeout: 60_000 }).toEqual(["host.online", "host.late", "host.online"]);
    expect(unwrap(await findHost(hub.control.db, hostId)).state).toBe("online");
  });

  it("is told once per change", async () => {
    const hostId = await addHost(hub);
    await compare();
    for (const seconds of [15, 15, 60, 60]) {
      await silent(hostId, seconds);
      await compare();
    }
    const told = await hub.control.db
      .select()
      .from(events)
      .where(and(eq(events.subjectId, hostId)))
      .orderBy(events.at);
    expect(told.map(({ name }) => name)).toEqual(["host.online", "host.late", "host.lost"]);
  });
});

describe("a machine that its host reports without", () => {
  it("is absent, unless an operation works on it", async () => {
    const [gone, held] = [await standing(), await standing()];
    unwrap(await requestAction(hub.control, held.machineId, { verb: "suspend" }, asked()));
    for (const { hostId } of [gone, held]) await reported(hostId);
    await compare();
    expect(unwrap(await findMachine(hub.control.db, gone.machineId))).toMatchObject({ observed: "absent", drift: [{ kind: "absent" }] });
    expect(unwrap(await findMachine(hub.control.db, held.machineId)).observed).toBe("running");
  });

  it("is not absent in a report that was gathered before an operation's last act", async () => {
    const { machineId, hostId } = await standing();
    await reported(hostId);
    await hub.sql`update hosts set inventory_after = (select acted_at from machines where id = ${machineId}) where id = ${hostId}`;
    await compare();
    expect(unwrap(await findMachine(hub.control.db, machineId)).observed).toBe("running");
  });
});

describe("a hub that could not listen", () => {
  it("does not take hosts for lost whose reports are old, until it has waited for one itself", async () => {
    const { machineId, hostId } = await standing();
    await reported(hostId);
    await compare();
    await silent(hostId, 3600);
    const patient = comparer(hub.control, { listenMs: 200 });
    await patient();
    expect(unwrap(await findMachine(hub.control.db, machineId)).observed).not.toBe("unknown");
    await expect
      .poll(() => patient().then(async () => unwrap(await findMachine(hub.control.db, machineId)).observed), { timeout: 60_000 })
      .toBe("unknown");
  });
});

describe("hosts that no gateway listens to", () => {
  it("are not lost however long nothing is heard of them, until a gateway has listened in vain", async () => {
    const { machineId, hostId } = await standing();
    await reported(hostId);
    await compare();
    await silent(hostId, 3600);
    const compareHearing = comparer(hub.control, { listenMs: 50, hasEars: () => someoneListens(hub.control.db) });
    const observed = () => compareHearing().then(async () => unwrap(await findMachine(hub.control.db, machineId)).observed);
    for (const end = Date.now() + 500; Date.now() < end;) expect(await observed()).not.toBe("unknown");
    const gateway = tellListening(hub.url);
    await expect.poll(observed, { timeout: 60_000 }).toBe("unknown");
    await gateway.close();
    expect(await someoneListens(hub.control.db)).toBe(false);
  });
});

describe("the lead", () => {
  it("is one process's at a time and goes to another when its session ends", async () => {
    const lock = Math.floor(Math.random() * 1_000_000);
    const passes = { a: 0, b: 0 };
    const started = (name: "a" | "b") =>
      lead({ url: hub.url, log: hub.control.log, lock, loops: [{ name, everyMs: 10, pass: async () => void passes[name]++ }] });
    const first = started("a");
    await expect.poll(() => passes.a, { timeout: 60_000 }).toBeGreaterThan(0);
    const second = started("b");
    try {
      await hub.sql`select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objid = ${lock}`;
      await expect.poll(() => Number(first.leading()) + Number(second.leading()), { timeout: 8_000 }).toBe(1);
      await first.close();
      await expect.poll(() => passes.b, { timeout: 8_000 }).toBeGreaterThan(0);
    } finally {
      await Promise.all([first.close(), second.close()]);
    }
  }, 180_000);
});

describe("a loop that fails again and again", () => {
  it("slows down to 5 s and is told once, until it works again", async () => {
    expect([0, 1, 2, 5, 6, 60].map((failures) => pauseMs(100, failures))).toEqual([100, 200, 400, 3_200, 5_000, 5_000]);
    expect(pauseMs(3_600_000, 9)).toBe(3_600_000);
    const lines: { event: string; failures?: number }[] = [];
    const log = pino({ level: "info" }, { write: (line: string) => void lines.push(JSON.parse(line)) });
    let passes = 0;
    const pass = async () => {
      if (++passes <= 4) throw new Error("away");
    };
    const leader = lead({ url: hub.url, log, lock: Math.floor(Math.random() * 1_000_000), loops: [{ name: "test", everyMs: 10, pass }] });
    await expect.poll(() => passes, { timeout: 60_000 }).toBeGreaterThan(5);
    await leader.close();
    const told = lines.filter(({ event }) => event.startsWith("loop."));
    expect(told.map(({ event, failures }) => [event, failures])).toEqual([
      ["loop.failed", 1],
      ["loop.recovered", 4],
    ]);
  });
});

const seen = (id: string, name: string): ObservedMachine => ({
  id,
  name,
  state: "suspended",
  kind: "pvm",
  guestOs: null,
  vcpus: 2,
  memoryBytes: 1,
  diskBytes: 1,
  macAddress: null,
  addresses: ["10.0.0.2"],
  bundlePath: null,
  tools: null,
  mark: null,
  raw: {},
});
