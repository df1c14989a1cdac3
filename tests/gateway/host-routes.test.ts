/** What hosts tell the hub and get from it over HTTPS: enrolment, reports, sessions. */
import { randomUUID } from "node:crypto";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { enrol, type HostIdentity } from "../../activities/host/hub-link.ts";
import { findHost, removeHost } from "../../db/hosts.ts";
import { lineBytes, listOutput, storedLimitBytes } from "../../db/outputs.ts";
import { outputSeal } from "../../security/sealed-texts.ts";
import { events, machines, observations, operations, steps } from "../../db/schema.ts";
import { writeStep } from "../../db/steps.ts";
import { unwrap } from "../../domain/errors.ts";
import type { ObservedMachine } from "../../domain/machines/schema.ts";
import { signHostToken } from "../../security/host-tokens.ts";
import { hostFacts, inventoryOf, startHub, type Hub } from "./hub.ts";

let hub: Hub;
beforeAll(async () => void (hub = await startHub()), 60_000);
afterAll(() => hub.stop());

const enrolWith = (token: string, { facts = hostFacts(), replace = false, url = hub.gateway().url } = {}) =>
  enrol({ url, token, facts, replace });

describe("enrolment", () => {
  it("takes a token once", async () => {
    const token = await hub.token("once");
    const identity = await enrolWith(token);
    expect(unwrap(await findHost(hub.db, "ONCE"))).toMatchObject({ id: identity.hostId, state: "enrolled", labels: ["test"] });
    await expect(enrolWith(token)).rejects.toMatchObject({ fault: { code: "enrolment_refused" } });
  });

  it("lets only one of two that use a token at the same moment become a host", async () => {
    const token = await hub.token("race");
    const outcomes = await Promise.allSettled([enrolWith(token), enrolWith(token)]);
    expect(outcomes.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
  });

  it("refuses a token that expired, that nobody made, or that was made by another hub", async () => {
    const { sha256 } = hub.security.authority;
    const unknown = `${"x".repeat(43)}.${sha256}`;
    const foreign = (await hub.token("foreign")).replace(sha256, "0".repeat(64));
    for (const token of [await hub.token("expired", 0), unknown, foreign, "nonsense"]) {
      await expect(enrolWith(token)).rejects.toMatchObject({ fault: { code: "enrolment_refused" } });
    }
  });

  it("keeps a host's id and changes its key when the same hardware comes with replace, and refuses it without", async () => {
    const facts = hostFacts();
    const first = await hub.enrol("replaced", facts);
    await expect(enrolWith(await hub.token("replaced"), { facts })).rejects.toMatchObject({ fault: { code: "host_exists" } });
    const second = await enrolWith(await hub.token("replaced"), { facts, replace: true });
    expect(second.hostId).toBe(first.hostId);
    await expect(post(first, "/host/v1/report", { lines: [] })).resolves.toMatchObject({ status: 401 });
    await expect(post(second, "/host/v1/report", { lines: [] })).resolves.toMatchObject({ status: 200 });
  });

  it("gives nobody the place of another host, whatever hardware they tell", async () => {
    const facts = hostFacts();
    const victim = await hub.enrol("victim", facts);
    await expect(enrolWith(await hub.token("intruder"), { facts, replace: true })).rejects.toMatchObject({
      fault: { code: "host_exists" },
    });
    await expect(post(victim, "/host/v1/report", { lines: [] })).resolves.toMatchObject({ status: 200 });
  });

  it("tells the second of two that come at once for one name, or from one computer, that it is taken", async () => {
    const facts = hostFacts();
    const [one, two, three, four] = await Promise.all(["same", "same", "this", "that"].map((name) => hub.token(name)));
    const pairs = [
      [enrolWith(one ?? ""), enrolWith(two ?? "")],
      [enrolWith(three ?? "", { facts }), enrolWith(four ?? "", { facts })],
    ];
    for (const outcomes of await Promise.all(pairs.map((pair) => Promise.allSettled(pair)))) {
      const refused = outcomes.filter((outcome) => outcome.status === "rejected");
      expect(refused).toMatchObject([{ reason: { fault: { code: "host_exists" } } }]);
    }
  });

  it("refuses a name that other hardware has, in any case, also with replace", async () => {
    await hub.enrol("taken");
    await expect(enrolWith(await hub.token("TAKEN"), { replace: true })).rejects.toMatchObject({ fault: { code: "host_exists" } });
  });
});

describe("removal", () => {
  it("is refused while machines live on the host, and makes its key worthless", async () => {
    const identity = await hub.enrol("leaving");
    const { id } = await machineOn(identity, "stopped");
    await expect(removeHost(hub.db, identity.hostId)).rejects.toMatchObject({ fault: { code: "host_in_use" } });
    await hub.sql`update machines set retired_at = now() where id = ${id}`;
    await removeHost(hub.db, identity.hostId);
    await expect(post(identity, "/host/v1/report", { lines: [] })).resolves.toMatchObject({ status: 401 });
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
    await post(identity, "/host/v1/report", { lines });
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
      const tell = (now: typeof state | "running") => writeStep(hub.db, operationId, { name: "upload", position: 0, state: now });
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
      post(identity, "/host/v1/report", { lines: Array.from({ length: count }, (_, n) => line(from + n, text)) });
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
    expect((await post(stranger, "/host/v1/report", { lines: [line] })).body).toMatchObject({ accepted: 0 });
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

/** One request with the host's own token, past the link's patience. */
async function post(identity: HostIdentity, path: string, value: unknown): Promise<{ status: number; body: unknown }> {
  const link = await hub.link({ ...identity, hubUrl: hub.gateway().url });
  const token = await signHostToken({ key: identity.privateKey, hostId: identity.hostId, hubId: identity.hubId, session: link.session });
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  const answer = await link.send({ method: "POST", path, headers, body: Buffer.from(JSON.stringify(value)) });
  const parts: Buffer[] = [];
  for await (const part of answer) parts.push(part as Buffer);
  return { status: answer.statusCode ?? 0, body: JSON.parse(Buffer.concat(parts).toString()) as unknown };
}
