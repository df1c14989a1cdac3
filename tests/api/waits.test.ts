/** Requests that wait for an operation: they end with their client, and with its rights. The operation runs on. */
import { request } from "node:http";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
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
