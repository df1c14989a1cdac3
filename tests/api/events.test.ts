/** The wire's WebSocket: who may listen, what is told, and that other clients of the port notice nothing. */
import { once } from "node:events";
import { tmpdir } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { markOf } from "../../api/access/login.ts";
import { tellUsage, uptimeTeller } from "../../api/events/fleet-news.ts";
import { wireListener } from "../../api/events/listeners.ts";
import type { WireEventType } from "../../api/events/wire.ts";
import { stillStanding } from "../../api/middleware/standing.ts";
import { serveApi, type Served } from "../../api/serve.ts";
import { system } from "../../control/retire.ts";
import { recordEvent } from "../../db/events.ts";
import { observations } from "../../db/schema.ts";
import { findUser } from "../../db/users.ts";
import type { Actor } from "../../domain/access/schema.ts";
import type { ObservedMachine } from "../../domain/machines/schema.ts";
import { addHost, addImage, addStore, gibibyte, standing } from "../control/hub.ts";
import { askingForHttp2, callerTo } from "./clients/caller.ts";
import { runDrover } from "./command-line.ts";
import { listenTo } from "./listening.ts";
import { openWorld, rootPassword, type World } from "./world.ts";

let world: World;
let served: Served;
let root: string;
let jane: string;
beforeAll(async () => {
  world = await openWorld();
  served = await serveApi((request, connection) => world.app.fetch(request, connection), { host: "127.0.0.1", port: 0 });
  root = await world.login("root", rootPassword);
  const body = { username: "jdoe", name: "J", email: "j@example.com", password: "Correct-horse-8!" };
  await world.call("POST", "/api/v1/auth/users", { token: root, body });
  jane = await world.login("jdoe", "Correct-horse-8!");
  await addImage(world, await addStore(world), "ubuntu");
});
afterAll(async () => {
  await served.close(1000);
  await world.close();
});

const address = (query: string) => `ws://127.0.0.1:${served.port}/api/v1/ws/subscribe?${query}`;
const listen = (types: string, token: string, parameter = "access_token") =>
  listenTo(served.port, `event_types=${types}&${parameter}=${token}`);
const refused = async (query: string): Promise<number> => {
  const socket = new WebSocket(address(query));
  const [, response] = await once(socket, "unexpected-response");
  return response.statusCode;
};

/** A listener without a line, of a user with these rights. */
function heard(types: WireEventType[], username: string, more: Partial<Actor>) {
  const messages: { message: string; body: unknown }[] = [];
  const transport = { isReady: () => true, send: ({ data }: { data: string }) => void messages.push(JSON.parse(data)), end: () => {} };
  const actor = { ...system("default"), userId: username, username, isSuperUser: false, ...more };
  const who = { actor, standing: { endsAt: null, login: null, ruleId: null }, after: 0, transport };
  return { messages, listener: wireListener(who, crypto.randomUUID(), new Set(types)) };
}

describe("subscribing", () => {
  it.each(["access_token", "authorization"])("takes the token as %s and greets", async (parameter) => {
    const { socket, welcome } = await listen("pdfm,nonsense,auth", root, parameter);
    expect(welcome).toMatchObject({
      id: expect.stringMatching(/^[0-9a-f]{64}$/),
      message: "WebSocket connection established subscribed to global by default",
      body: { client_id: expect.any(String), subscriptions: ["pdfm", "auth", "global"] },
    });
    socket.close();
  });
  it("refuses who has no token, and a token in the address of anything else", async () => {
    expect(await refused("event_types=pdfm")).toBe(401);
    expect(await refused("event_types=pdfm&access_token=garbage")).toBe(401);
    expect((await world.call("GET", `/api/v1/machines?access_token=${root}`)).status).toBe(401);
    expect((await world.call("GET", "/api/v1/ws/subscribe", { token: root })).status).toBe(400);
    expect(world.lines.join("")).not.toContain(root);
  });

  it("answers a request plainly that names the protocol and does not ask to change to it", async () => {
    const call = callerTo(`http://127.0.0.1:${served.port}`, {
      Authorization: `Bearer ${root}`,
      Upgrade: "websocket",
      Connection: "close",
    });
    expect(await call("GET", "/api/v1/ws/subscribe")).toMatchObject({ status: 400, body: { code: 400 } });
    call.close();
  });
  it("answers pings and tells who one is", async () => {
    const { socket, until, welcome } = await listen("health,system", jane);
    socket.send(JSON.stringify({ id: "a", event_type: "health", message: "ping" }));
    socket.send(JSON.stringify({ event_type: "system", message: "client-id" }));
    socket.send("{");
    expect(await until(({ message }) => message === "pong")).toMatchObject({ event_type: "health", ref_id: "a" });
    expect((await until(({ event_type: type }) => type === "system")).body).toEqual({ "client-id": welcome.body.client_id });
    await until(({ event_type: type, message }) => type === "global" && message === "error");
    socket.close();
  });
});

describe("what is told", () => {
  it("is the changes of rights, in the contract's words, and only to who may list them", async () => {
    const [listener, stranger] = await Promise.all([listen("auth", root), listen("auth", jane)]);
    await world.call("POST", "/api/v1/auth/claims", { token: root, body: { name: "tmp claim" } });
    await world.call("POST", "/api/v1/auth/users/jdoe/claims", { token: root, body: { name: "TMP_CLAIM" } });
    await world.relay();
    expect((await listener.until(({ message }) => message === "CLAIM_ADDED")).body).toEqual({ claim_id: "TMP_CLAIM" });
    const added = await listener.until(({ message }) => message === "USER_CLAIM_ADDED");
    expect(added.body).toEqual({ user_id: expect.any(String), claim_id: "TMP_CLAIM" });
    expect(stranger.frames).toHaveLength(1);
    const [audited] = await world.sql`select actor, subject, outcome from audit where action = 'user_claim.added'`;
    expect(audited).toEqual({ actor: "root", subject: "jdoe: TMP_CLAIM", outcome: "done" });
    listener.socket.close();
    stranger.socket.close();
  });
  it("is the health of hosts", async () => {
    const hostId = await addHost(world);
    const { socket, until } = await listen("orchestrator", root);
    await recordEvent(world.hub.db, { type: "host", name: "host.lost", subjectId: hostId, body: { name: "mac" } });
    await world.relay();
    const { body } = await until(({ message }) => message === "HOST_HEALTH_UPDATE");
    expect(body).toEqual({ host_id: hostId, state: "unhealthy" });
    socket.close();
  });
  it("is what hosts use, every few seconds, to who may list hosts", async () => {
    const usage = {
      memoryBytes: 192_643_072,
      heapBytes: 18_823_044,
      cpuUserMs: 26_791,
      cpuSystemMs: 2901,
      cpuPercent: 26.2,
      resources: 358,
    };
    const hostId = await addHost(world, { usage });
    await world.sql`update hosts set last_report_at = now() + interval '1 hour' where id = ${hostId}`;
    const { socket, until } = await listen("orchestrator", root);
    const { body, cursor } = await until(({ message, body }) => message === "HOST_STATS_UPDATE" && body.host_id === hostId);
    const stats = { cpu_percent: 26.2, cpu_user_seconds: 26.791, cpu_system_seconds: 2.901, memory_bytes: 192_643_072 };
    expect(body.stats).toEqual({ ...stats, memory_alloc_bytes: 18_823_044, goroutines: 358, goroutines_smoothed: 358 });
    expect(cursor).toBeUndefined();
    socket.close();
    const rights: Partial<Actor>[] = [{ claims: ["LIST"] }, { claims: ["LIST_VM"] }, { claims: ["LIST"], project: "elsewhere" }];
    const three = rights.map((more) => heard(["orchestrator"], "someone", more));
    const all = new Map(three.map(({ listener }) => [listener.id, listener]));
    await tellUsage(world.hub, { all, add: () => {}, remove: () => {} });
    expect(three.map(({ messages }) => messages.length)).toEqual([1, 0, 0]);
  });
  it("costs nothing while nobody listens to it", async () => {
    const asked = new Error("The database was asked.");
    const db = new Proxy({} as World["hub"]["db"], {
      get: () => {
        throw asked;
      },
    });
    const { listener } = heard(["health", "job_manager"], root, {});
    const listeners = { all: new Map([["a", listener]]), add: () => {}, remove: () => {} };
    await tellUsage({ db }, listeners);
    await uptimeTeller({ db })(listeners);
    const wanting = { ...listeners, all: new Map([["b", heard(["orchestrator"], root, {}).listener]]) };
    await expect(tellUsage({ db }, wanting)).rejects.toThrow(asked);
  });
  it("is for how long machines have been up, once each time it changed, to who may reach them", async () => {
    const { machineId, hostId } = await standing(world, "running");
    await world.sql`update machines set required_claims = '{SECRET}' where id = ${machineId}`;
    const nothing = { guestOs: null, macAddress: null, addresses: [], bundlePath: null, tools: null, mark: null };
    const size = { vcpus: 2, memoryBytes: 4 * gibibyte, diskBytes: gibibyte };
    const seen = (uptime: string): ObservedMachine => ({
      ...nothing,
      ...size,
      id: machineId,
      name: "up",
      state: "running",
      kind: "pvm",
      raw: { Uptime: uptime },
    });
    const report = async (uptime: string) => {
      const row = { hostId, machineId, facts: seen(uptime) };
      const target = [observations.hostId, observations.machineId];
      await world.hub.db
        .insert(observations)
        .values(row)
        .onConflictDoUpdate({ target, set: { facts: row.facts } });
    };
    const tell = uptimeTeller(world.hub);
    const [owner, stranger] = [
      heard(["pdfm", "orchestrator"], "someone", { claims: ["LIST_VM", "LIST", "SECRET"] }),
      heard(["pdfm", "orchestrator"], "other", { claims: ["LIST_VM", "LIST"] }),
    ];
    const listeners = {
      all: new Map([
        ["a", owner.listener],
        ["b", stranger.listener],
      ]),
      add: () => {},
      remove: () => {},
    };
    for (const uptime of ["60", "60", "120"]) {
      await report(uptime);
      await tell(listeners);
    }
    const told = (uptime: string) => [
      { message: "VM_UPTIME_CHANGED", body: { vm_id: machineId, uptime } },
      { message: "HOST_VM_UPTIME_CHANGED", body: { host_id: hostId, event: { vm_id: machineId, uptime } } },
    ];
    expect(owner.messages).toMatchObject([...told("60"), ...told("120")]);
    expect(stranger.messages).toEqual([]);
  });
  it("is a machine's snapshots when they changed, as its host listed them, to who may list them", async () => {
    const { machineId, hostId, name } = await standing(world);
    const body = { username: "lists", name: "L", email: "l@example.com", password: "Correct-horse-8!", claims: ["LIST_VM", "LIST"] };
    await world.call("POST", "/api/v1/auth/users", { token: root, body });
    const [listener, stranger] = await Promise.all([
      listen("pdfm,orchestrator", root),
      listen("pdfm,orchestrator", await world.login("lists", "Correct-horse-8!")),
    ]);
    const action = { verb: "snapshot-create", name: "clean" };
    expect((await world.call("POST", `/api/v2/machines/${name}/actions`, { token: root, body: action })).status).toBe(202);
    const snapshot = {
      id: crypto.randomUUID(),
      name: "clean",
      date: "2026-11-21 10:24:24",
      state: "poweroff",
      current: true,
      parentId: null,
    };
    await world.settle("snapshot-create", { result: { snapshotId: snapshot.id, snapshots: [snapshot] } });
    await world.call("PATCH", `/api/v2/machines/${name}`, { token: root, body: { description: "afterwards" } });
    await world.relay();
    const { parentId: _, ...shown } = snapshot;
    const told = { vm_id: machineId, snapshots: [{ ...shown, parent: "" }] };
    expect((await listener.until(({ message }) => message === "VM_SNAPSHOTS_UPDATED")).body).toEqual(told);
    expect((await listener.until(({ message }) => message === "HOST_VM_SNAPSHOTS_UPDATED")).body).toEqual({ host_id: hostId, event: told });
    await stranger.until(({ message, body }) => message === "VM_UPDATED" && body.vm_id === machineId);
    expect(stranger.frames.filter(({ message }) => message.endsWith("SNAPSHOTS_UPDATED"))).toEqual([]);
    for (const { socket } of [listener, stranger]) socket.close();
  });
  it("can be left, by its own client only", async () => {
    const [{ socket, welcome, frames }, witness] = await Promise.all([listen("auth", root), listen("auth", root)]);
    const leave = (token: string, types: string[]) =>
      world.call("POST", "/api/v1/ws/unsubscribe", { token, body: { client_id: welcome.body.client_id, event_types: types } });
    expect((await leave(root, ["global"])).status).toBe(400);
    expect((await leave(jane, ["auth"])).status).toBe(404);
    expect(await leave(root, ["auth"])).toMatchObject({ status: 200, body: null });
    const stats = (await world.call("GET", "/api/v1/ws/stats", { token: root })).body;
    expect(stats).toMatchObject({ total_clients: expect.any(Number), type_stats: { global: expect.any(Number) } });
    expect((await world.call("GET", "/api/v1/ws/clients", { token: jane })).body).toEqual([]);
    await world.call("DELETE", "/api/v1/auth/users/jdoe/claims/TMP_CLAIM", { token: root });
    await world.relay();
    await witness.until(({ message }) => message === "USER_CLAIM_REMOVED");
    expect(frames.filter(({ event_type: type }) => type === "auth")).toEqual([]);
    socket.close();
    witness.socket.close();
  });
});

it("leaves clients that ask for HTTP/2 on the same port alone", async () => {
  const { socket } = await listen("pdfm", root);
  const call = callerTo(`http://127.0.0.1:${served.port}`, askingForHttp2);
  expect((await call("GET", "/api/v1/machines", { headers: { Authorization: `Bearer ${root}` } })).status).toBe(200);
  call.close();
  socket.close();
});

it("is shown on the command line: what was, and what comes", async () => {
  const env = { DROVER_URL: `http://127.0.0.1:${served.port}`, DROVER_TOKEN: root };
  const drover = (...args: string[]) => runDrover(["event", ...args], { folder: tmpdir(), env });
  const host = crypto.randomUUID();
  await recordEvent(world.hub.db, { type: "host", name: "host.renamed", subjectId: host, body: { name: "mac-99" } });
  await world.relay();
  const [one] = (await drover("list", "--type", "host.renamed", "--json")).json();
  expect(one).toMatchObject({ subjectId: host, name: "host.renamed" });
  const followed = drover("follow", "--type", "host.*", "--since", String(one.number - 1), "--limit", "2");
  await recordEvent(world.hub.db, { type: "host", name: "host.late", subjectId: host, body: { name: "mac-99" } });
  await world.relay();
  expect(await followed).toMatchObject({ exitCode: 0, out: expect.stringMatching(/host\.renamed {2}mac-99\n.*host\.late {2}mac-99\n/) });
  expect(await drover("follow", "--type", "nonsense")).toMatchObject({ exitCode: 2, err: expect.stringContaining("such as machine.*") });
});

it("ends with its login, which lasts as long as logins may, with its token where nobody renews it, and with the rule of its workload", async () => {
  const user = await findUser(world.hub.db, "jdoe");
  const actor = { ...system("default"), userId: user?.id ?? "", username: "jdoe", isSuperUser: false };
  const lasting = (sinceMs: number) => ({
    endsAt: null,
    ruleId: null,
    login: { since: Math.floor(sinceMs / 1000), mark: markOf(user ?? { passwordHash: null }) },
  });
  expect(await stillStanding(world.hub, actor, lasting(Date.now()))).toMatchObject({ username: "jdoe" });
  expect(await stillStanding(world.hub, actor, lasting(Date.now() - world.hub.settings.loginLimitMs - 1000))).toBeNull();
  expect(await stillStanding(world.hub, actor, { endsAt: new Date(Date.now() - 1), ruleId: null, login: null })).toBeNull();
  expect(await stillStanding(world.hub, actor, { endsAt: null, ruleId: crypto.randomUUID(), login: null })).toBeNull();
});
