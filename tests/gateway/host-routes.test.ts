/** What hosts tell the hub and get from it over HTTPS: reports, sessions, and the end of both. */
import { randomUUID } from "node:crypto";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { HostIdentity } from "../../activities/host/hub-link.ts";
import { findHost, removeHost } from "../../db/hosts.ts";
import { lineBytes, listOutput, storedLimitBytes } from "../../db/outputs.ts";
import { outputSeal } from "../../security/sealed-texts.ts";
import { events, machines, observations, operations, steps } from "../../db/schema.ts";
import { writeSteps } from "../../db/steps.ts";
import { unwrap } from "../../domain/errors.ts";
import type { ObservedMachine } from "../../domain/machines/schema.ts";
import { hostFacts, inventoryOf, startHub, type Hub } from "./hub.ts";
import { post } from "./past-link.ts";

let hub: Hub;
beforeAll(async () => void (hub = await startHub()), 60_000);
afterAll(() => hub.stop());

describe("removal", () => {
  it("is refused while machines live on the host, and makes its key worthless", async () => {
    const identity = await hub.enrol("leaving");
    const { id } = await machineOn(identity, "stopped");
    await expect(removeHost(hub.db, identity.hostId)).rejects.toMatchObject({ fault: { code: "host_in_use" } });
    await hub.sql`update machines set retired_at = now() where id = ${id}`;
    await removeHost(hub.db, identity.hostId);
    await expect(post(hub, identity, "/host/v1/report", { lines: [] })).resolves.toMatchObject({ status: 401 });
  });
});

describe("reports", () => {
  it("count a line once, however often it comes", async () => {
    const { identity, operationId, link } = await hostAtWork("lines");
    const attempted = (line: number) => ({ operationId, step: "upload", fence: 7, line });
    const lines = [
      { kind: "step" as const, ...attempted(1), state: "running" as const },
      { kind: "output" as const, ...attempted(2), stream: "stdout" as const, text: "hello\n" },
      { kind: "step" as const, ...attempted(3), state: "done" as const },
    ];
    await link.report(lines);
    const seen = await told(operationId);
    expect(seen.step).toMatchObject({ state: "done", fence: 7, line: 3 });
    await post(hub, identity, "/host/v1/report", { lines });
    expect(await told(operationId)).toEqual(seen);
    expect((await listOutput(hub.db, outputSeal(hub.security.sealer), { operationId, after: 0, limit: 10 })).items).toEqual([
      { line: 2, stream: "stdout", text: "hello\n" },
    ]);
  });

  it("let a late line of an older attempt change nothing", async () => {
    const { operationId, link } = await hostAtWork("late");
    const progress = (fence: number, line: number, doneBytes: number) => ({
      kind: "progress" as const,
      operationId,
      step: "upload",
      fence,
      line,
      progress: { doneBytes, totalBytes: 100 },
    });
    await link.report([progress(7, 1, 50)]);
    // Nor does one of an attempt that nobody began.
    await link.report([progress(6, 99, 90), progress(8, 99, 90)]);
    expect((await told(operationId)).step?.progress).toEqual({ doneBytes: 50, totalBytes: 100 });
  });

  it.each(["parked", "done", "failed"] as const)(
    "do not open a step again that its workflow calls %s, until the workflow does",
    async (state) => {
      const { operationId, link } = await hostAtWork(`late-${state}`);
      const begin = (line: number) => link.report([{ kind: "step", operationId, step: "upload", fence: 7, line, state: "running" }]);
      const tell = (now: typeof state | "running") => writeSteps(hub.db, operationId, [{ name: "upload", position: 0, state: now }]);
      await tell(state);
      await begin(1);
      expect((await told(operationId)).step?.state).toBe(state);
      await tell("running");
      await begin(2);
      expect((await told(operationId)).step).toMatchObject({ state: "running", line: 2 });
    },
  );

  it("fill the database with no more output than is kept, even by empty lines", async () => {
    const { operationId, identity } = await hostAtWork("chatty");
    const line = (number: number, text: string) => ({
      kind: "output",
      operationId,
      step: "upload",
      fence: 7,
      line: number,
      stream: "stdout",
      text,
    });
    const send = (from: number, text: string, count: number) =>
      post(hub, identity, "/host/v1/report", { lines: Array.from({ length: count }, (_, n) => line(from + n, text)) });
    await hub.sql`insert into outputs (operation_id, fence, line, stream, text)
      select ${operationId}, 7, n, 'stdout', '' from generate_series(1, ${storedLimitBytes / lineBytes - 10}) n`;
    await send(1_000_000, "", 1_000);
    const [row] = await hub.sql`select count(*)::int as count from outputs where operation_id = ${operationId}`;
    expect(row?.["count"]).toBe(storedLimitBytes / lineBytes);
    expect((await listOutput(hub.db, outputSeal(hub.security.sealer), { operationId, after: 0, limit: 1 })).cut).toBe(true);
  });

  it("leave out lines on operations of other hosts", async () => {
    const { operationId } = await hostAtWork("owner");
    const stranger = await hub.enrol("stranger");
    const line = { kind: "step", operationId, step: "upload", fence: 7, line: 1, state: "done" };
    expect((await post(hub, stranger, "/host/v1/report", { lines: [line] })).body).toMatchObject({ accepted: 0 });
    expect((await told(operationId)).step).toMatchObject({ state: "pending" });
  });

  it("write what an inventory shows, tell what changed, and name what the host must remove", async () => {
    const facts = hostFacts();
    const identity = await hub.enrol("inventory", facts);
    const link = await hub.link(identity);
    const running = await machineOn(identity, "stopped");
    const gone = await machineOn(identity, "stopped");
    const retired = await machineOn(identity, "retired");
    const moved = await machineOn(identity, "moved");
    const mark = (epoch: number) => ({ hubId: hub.security.hubId, epoch, operationId: null });
    const seen = [
      observed(running.id, { state: "running", addresses: ["10.0.0.5"], mark: mark(1) }),
      observed(retired.id, { mark: mark(1) }),
      observed(moved.id, { mark: mark(1) }),
      observed(randomUUID(), { mark: mark(1), name: "orphan" }),
      observed(randomUUID(), { name: "foreign" }),
    ];
    const answer = await link.report([inventoryOf(facts, 1, { machines: seen })]);
    expect(answer.removeMachines.map(({ machineId }) => machineId).toSorted()).toEqual([retired.id, moved.id].toSorted());
    expect(await machine(running.id)).toMatchObject({ observed: "running", addresses: ["10.0.0.5"] });
    expect(await machine(gone.id)).toMatchObject({ observed: "absent" });
    expect(await hub.db.select().from(observations).where(eq(observations.hostId, identity.hostId))).toHaveLength(5);
    expect(unwrap(await findHost(hub.db, identity.hostId))).toMatchObject({ state: "online", sequence: 1 });
    const told = await hub.db.select().from(events).where(eq(events.subjectId, running.id));
    expect(told.map(({ name }) => name)).toEqual(["machine.observed"]);

    await link.report([inventoryOf(facts, 2, { machines: seen })]);
    expect(await hub.db.select().from(events).where(eq(events.subjectId, running.id))).toHaveLength(1);
  });

  it("of a second process on another computer are refused and alarmed while the first one lives; its goodbye lets the next one in", async () => {
    const facts = hostFacts();
    const identity = await hub.enrol("twice", facts);
    const [first, second] = [await hub.link(identity), await hub.link(identity)];
    expect(await first.report([inventoryOf(facts, 1, { bootId: "boot-1" })])).toMatchObject({ accepted: 1 });
    const elsewhere = hostFacts();
    expect(await second.report([inventoryOf(elsewhere, 1, { bootId: "boot-2" })])).toMatchObject({ accepted: 0 });
    const alarms = await hub.db.select().from(events).where(eq(events.subjectId, identity.hostId));
    expect(alarms.map(({ name }) => name)).toContain("host.duplicate_session");
    await first.close();
    expect(await second.report([inventoryOf(elsewhere, 2, { bootId: "boot-2" })])).toMatchObject({ accepted: 1 });
  });

  it("of a new process on the same computer take over at once, after a reboot too, and the older one cannot take the place back", async () => {
    const facts = hostFacts();
    const identity = await hub.enrol("restarted", facts);
    const older = await hub.link(identity);
    await older.report([inventoryOf(facts, 50)]);
    const newer = await hub.link(identity);
    expect(await newer.report([inventoryOf(facts, 1)])).toMatchObject({ accepted: 1 });
    expect(await older.report([inventoryOf(facts, 51)])).toMatchObject({ accepted: 0 });
    const rebooted = await hub.link(identity);
    expect(await rebooted.report([inventoryOf(facts, 1, { bootId: "boot-2" })])).toMatchObject({ accepted: 1 });
    const told = await hub.db.select().from(events).where(eq(events.subjectId, identity.hostId));
    expect(told.map(({ name }) => name)).toEqual(expect.arrayContaining(["host.restarted", "host.rebooted"]));
  });

  it("wait while the gateway is away and arrive in order when it is back", async () => {
    const { operationId, link } = await hostAtWork("patient");
    const attempted = (line: number) => ({
      kind: "output" as const,
      operationId,
      step: "upload",
      fence: 7,
      line,
      stream: "stdout" as const,
      text: `${line}`,
    });
    const restarted = hub.restartGateway();
    const answers = Promise.all([1, 2, 3].map((line) => link.report([attempted(line)])));
    await Promise.all([restarted, answers]);
    expect(
      (await listOutput(hub.db, outputSeal(hub.security.sealer), { operationId, after: 0, limit: 10 })).items.map(({ text }) => text),
    ).toEqual(["1", "2", "3"]);
  });
});

/** A host with one operation under way, whose one step is announced. */
async function hostAtWork(name: string) {
  const identity = await hub.enrol(name);
  const operationId = randomUUID();
  const said = { verb: "push", state: "running", subject: name, actor: "root", actorId: "root", onFault: "fail", input: {} } as const;
  await hub.db
    .insert(operations)
    .values({ id: operationId, hostId: identity.hostId, workflowId: `push/${operationId}`, fence: 7, ...said });
  await hub.db.insert(steps).values({ operationId, name: "upload", position: 0, state: "pending" });
  return { identity, operationId, link: await hub.link(identity) };
}

async function told(operationId: string) {
  const [step] = await hub.db.select().from(steps).where(eq(steps.operationId, operationId));
  return { step, events: await hub.db.select().from(events).where(eq(events.operationId, operationId)) };
}

async function machineOn({ hostId }: HostIdentity, kind: string): Promise<{ id: string }> {
  const id = randomUUID();
  const size = { vcpus: 2, memoryBytes: 1024, diskBytes: 2048 };
  const row = {
    id,
    name: `${kind}-${id}`,
    owner: "root",
    origin: "image",
    kind: "pvm",
    desired: "running",
    observed: "stopped",
    hostId,
    ...size,
  } as const;
  await hub.db.insert(machines).values({ ...row, epoch: kind === "moved" ? 2 : 1, retiredAt: kind === "retired" ? new Date() : null });
  return { id };
}

const machine = async (id: string) => (await hub.db.select().from(machines).where(eq(machines.id, id)))[0];

const observed = (id: string, facts: Partial<ObservedMachine>): ObservedMachine => ({
  id,
  name: "m",
  state: "stopped",
  kind: "pvm",
  guestOs: null,
  vcpus: 2,
  memoryBytes: 1024,
  diskBytes: 2048,
  macAddress: null,
  addresses: [],
  bundlePath: null,
  tools: null,
  mark: null,
  raw: {},
  ...facts,
});
