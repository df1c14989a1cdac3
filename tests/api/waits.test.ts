/** Requests that wait for an operation: they end with their client, with its rights, and at the moment that it said. The operation runs on. */
import { request } from "node:http";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { listOperations } from "../../db/operations.ts";
import { machines } from "../../db/schema.ts";
import { serveApi, type Served } from "../../api/serve.ts";
import { addHost, gibibyte } from "../control/hub.ts";
import { openWorld, rootPassword, type World } from "./world.ts";

let world: World;
let served: Served;
let root: string;
let hostId: string;
beforeAll(async () => {
  world = await openWorld();
  served = await serveApi((request, connection) => world.app.fetch(request, connection), { host: "127.0.0.1", port: 0 });
  root = await world.login("root", rootPassword);
  hostId = await addHost(world);
});
afterEach(() => void vi.useRealTimers());
afterAll(async () => {
  await served.close(1000);
  await world.close();
});

async function addMachine(name: string): Promise<string> {
  const id = crypto.randomUUID();
  const [user] = await world.sql`select id from users where username = 'root'`;
  const size = { vcpus: 1, memoryBytes: gibibyte, diskBytes: gibibyte };
  const state = { origin: "image", kind: "pvm", desired: "stopped", observed: "stopped" } as const;
  await world.hub.db.insert(machines).values({ id, name, owner: user?.["id"], hostId, ...state, ...size });
  return id;
}
const runningState = async (machineId: string): Promise<string> => {
  for (;;) {
    const [row] = await world.sql`select state from operations where machine_id = ${machineId}`;
    if (row?.["state"] === "running") return "running";
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
};

it("end when the client goes away, and the operation runs on", async () => {
  const id = await addMachine("left");
  const headers = { Authorization: `Bearer ${root}`, "X-Request-Id": "goes-away" };
  const asking = request({ port: served.port, host: "127.0.0.1", method: "PUT", path: "/api/v1/machines/left/start", headers });
  asking.on("error", () => undefined).end();
  await runningState(id);
  expect(world.lines.join("")).not.toContain("goes-away");
  asking.destroy();
  // The log has a line per request that has ended.
  while (!world.lines.join("").includes("goes-away")) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(await runningState(id)).toBe("running");
});

it("end within a minute when the rights of their caller do", async () => {
  const id = await addMachine("unlicensed");
  const body = { username: "jdoe", name: "J", email: "j@example.com", password: "Correct-horse-8!", claims: ["UPDATE_VM_STATES"] };
  await world.call("POST", "/api/v1/auth/users", { token: root, body });
  const jane = await world.login("jdoe", "Correct-horse-8!");
  const waiting = world.call("PUT", "/api/v1/machines/unlicensed/start", { token: jane });
  await runningState(id);
  await world.call("DELETE", "/api/v1/auth/users/jdoe/claims/UPDATE_VM_STATES", { token: root });
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 61_000 });
  expect(await waiting).toMatchObject({ status: 401 });
});

/** Real HTTP: a deadline must hold for bodies and answers as they travel. */
async function ask(method: string, path: string, seconds: string, body?: unknown) {
  const began = performance.now();
  const headers = { Authorization: `Bearer ${root}`, "Content-Type": "application/json", "Request-Timeout": seconds };
  const sent = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
  const response = await fetch(`http://127.0.0.1:${served.port}${path}`, sent);
  return { status: response.status, body: (await response.json()) as Record<string, unknown>, ms: performance.now() - began };
}
const operationOf = async (machineId: string) => {
  const [found] = (await listOperations(world.hub.db, {}, { limit: 100 })).items.filter((one) => one.machineId === machineId);
  return found?.id;
};

it("end at the deadline that the request has, with 504 and the id of what goes on", async () => {
  const id = await addMachine("hurried");
  const answer = await ask("PUT", "/api/v1/machines/hurried/start", "2");
  expect(answer).toMatchObject({ status: 504, body: { code: 504, message: expect.stringContaining(String(await operationOf(id))) } });
  expect(await runningState(id)).toBe("running");
});

it("answer a wait of ours at the deadline with the operation as it is", async () => {
  const id = await operationOf(
    await addMachine("waited").then(async (machineId) => (await ask("PUT", "/api/v1/machines/waited/start", "2"), machineId)),
  );
  const answer = await ask("GET", `/api/v2/operations/${id}/wait`, "3");
  expect(answer).toMatchObject({ status: 200, body: { id, state: "running" } });
  expect(answer.ms).toBeGreaterThan(2000);
});

it("leave no statement behind that waits on in the database", async () => {
  const id = await addMachine("locked");
  const waiting = async () =>
    (await world.sql`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).length;
  await world.sql.begin(async (tx) => {
    await tx`select 1 from machines where id = ${id} for update`;
    const answer = ask("PATCH", `/api/v2/machines/${id}`, "3", { description: "late" });
    await expect.poll(waiting, { timeout: 60_000 }).toBe(1);
    expect(await answer).toMatchObject({ status: 504, body: { code: "deadline_exceeded" } });
    await expect.poll(waiting, { timeout: 60_000 }).toBe(0);
  });
  expect((await world.call("GET", `/api/v2/machines/${id}`, { token: root })).body.description).not.toBe("late");
  // The same connections serve requests with more time as before.
  expect(await ask("PATCH", `/api/v2/machines/${id}`, "60", { description: "in time" })).toMatchObject({ status: 200 });
});

it("leave no read behind that requests share, and do nothing any more once they were told that it is too late", async () => {
  const id = await addMachine("shared");
  const waiting = async () =>
    (await world.sql`select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).length;
  await world.sql.begin(async (tx) => {
    await tx`lock table users in access exclusive mode`;
    world.hub.reads.rights.tell();
    const answers = ["1", "3"].map((seconds) => ask("PATCH", `/api/v2/machines/${id}`, seconds, { description: "late" }));
    await expect.poll(waiting, { timeout: 60_000 }).toBeGreaterThan(0);
    for (const answer of answers) expect(await answer).toMatchObject({ status: 504, body: { code: "deadline_exceeded" } });
    await expect.poll(waiting, { timeout: 60_000 }).toBe(0);
  });
  expect((await world.call("GET", `/api/v2/machines/${id}`, { token: root })).body.description).not.toBe("late");
  expect(await ask("PATCH", `/api/v2/machines/${id}`, "60", { description: "in time" })).toMatchObject({ status: 200 });
});

it.each(["0", "-1", "soon", "1e3", "86401", "", "5, 6"])("refuse the deadline %j by name", async (seconds) => {
  for (const path of ["/api/v2/machines", "/api/v1/machines"]) {
    const answer = await world.call("GET", path, { token: root, headers: { "Request-Timeout": seconds } });
    expect(answer).toMatchObject({
      status: 400,
      body: { message: expect.stringContaining("Request-Timeout must be a number of seconds") },
    });
  }
});
