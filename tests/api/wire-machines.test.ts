/** The wire's machines: shown, made and acted on as its existing clients expect. */
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { appendOutput } from "../../db/outputs.ts";
import { outputSeal } from "../../security/sealed-texts.ts";
import { machines, observations } from "../../db/schema.ts";
import type { ObservedMachine } from "../../domain/machines/schema.ts";
import { addHost, addImage, addStore, gibibyte } from "../control/hub.ts";
import { openWorld, rootPassword, type World } from "./world.ts";

let world: World;
let root: string;
let hostId: string;
let storeId: string;
beforeAll(async () => {
  world = await openWorld();
  root = await world.login("root", rootPassword);
  hostId = await addHost(world);
  storeId = await addStore(world);
  await addImage(world, storeId, "sonoma-mini");
});
afterAll(() => world.close());

const as = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
  world.call(method, path, { token: root, body, headers });
const update = (id: string, changes: Partial<typeof machines.$inferInsert>) =>
  world.hub.db.update(machines).set(changes).where(eq(machines.id, id));

/** A machine of ours on the host, as its provisioning would have left it. */
async function addMachine(name: string, changes: Partial<typeof machines.$inferInsert> = {}): Promise<string> {
  const id = crypto.randomUUID();
  const size = { vcpus: 2, memoryBytes: gibibyte, diskBytes: gibibyte };
  const [user] = await world.sql`select id from users where username = 'root'`;
  await world.hub.db.insert(machines).values({
    id,
    name,
    owner: user?.["id"],
    hostId,
    origin: "image",
    kind: "pvm",
    desired: "stopped",
    observed: "stopped",
    ...size,
    ...changes,
  });
  return id;
}

describe("machines", () => {
  it("shows what the host reported, with what the hub knows better", async () => {
    const id = await addMachine("seen", { observed: "running", addresses: ["10.211.55.44"] });
    const raw = {
      ID: id,
      Name: "old name",
      State: "stopped",
      OS: "ubuntu",
      "Home path": "/x/seen.pvm/config.pvs",
      Hardware: { cpu: { cpus: 2 } },
    };
    const facts = {
      id,
      name: "seen",
      state: "running",
      kind: "pvm",
      guestOs: null,
      vcpus: 2,
      memoryBytes: gibibyte,
      diskBytes: 0,
      macAddress: null,
      addresses: [],
      bundlePath: null,
      tools: null,
      mark: null,
      raw,
    } satisfies ObservedMachine;
    await world.hub.db.insert(observations).values({ hostId, machineId: id, facts });
    const foreign = crypto.randomUUID();
    await world.hub.db.insert(observations).values({ hostId, machineId: foreign, facts: { ...facts, id: foreign, name: "foreign" } });

    const own = {
      ID: id,
      Name: "seen",
      State: "running",
      user: "root",
      OS: "ubuntu",
      "Home path": "/x/seen.pvm/config.pvs",
      internal_ip_address: "10.211.55.44",
    };
    expect(await as("GET", `/api/v1/machines/${id.toUpperCase()}`)).toMatchObject({ status: 200, body: own });
    expect((await as("GET", "/api/v1/machines/SEEN")).body.ID).toBe(id);
    expect(
      (await as("GET", "/api/v1/machines", undefined, { "X-Filter": "Hardware.cpu.cpus=2" })).body.map(
        ({ Name }: { Name: string }) => Name,
      ),
    ).toEqual(["seen", "foreign"]);
    expect((await as("GET", "/api/v1/machines", undefined, { "X-Filter": "name=none-such" })).body).toEqual([]);
    expect(await as("GET", "/api/v1/machines", undefined, { "X-Filter": "seen" })).toMatchObject({ status: 404, body: { code: 404 } });
    expect(await as("GET", "/api/v1/machines/seen/status")).toMatchObject({
      status: 200,
      body: { id, status: "running", ip_configured: "10.211.55.44" },
    });
    expect(await as("GET", "/api/v1/orchestrator/machines/seen")).toMatchObject({
      status: 202,
      body: { ...own, host_id: hostId, host_state: "healthy" },
    });
    expect((await as("GET", `/api/v1/orchestrator/hosts/${hostId}/machines`)).status).toBe(202);
    expect((await as("PUT", "/api/v1/machines/foreign/start")).status).toBe(400);
  });

  it("says 404 with the number that terraform reads", async () => {
    for (const [method, path] of [
      ["GET", ""],
      ["GET", "/status"],
      ["PUT", "/start"],
      ["DELETE", ""],
    ] as const) {
      expect(await as(method, `/api/v1/machines/no-such-vm${path}`)).toMatchObject({
        status: 404,
        body: { message: "error 404: Virtual machine not found", code: 404 },
      });
    }
    expect(await as("GET", "/api/v1/machines/no-such-vm/snapshots")).toMatchObject({ status: 202, body: {} });
  });

  it("starts by PUT and by GET, and answers when it is done", async () => {
    const id = await addMachine("power");
    for (const method of ["PUT", "GET"]) {
      const [answer] = await Promise.all([
        as(method, "/api/v1/machines/power/start", method === "PUT" ? "{junk" : undefined),
        world.settle("start"),
      ]);
      expect(answer).toMatchObject({ status: 200, body: { id: "power", operation: "Start", status: "Success" } });
    }
    const [stopped] = await Promise.all([as("PUT", `/api/v1/orchestrator/machines/${id}/stop?force=true`), world.settle("stop")]);
    expect(stopped).toMatchObject({ status: 200, body: { id, operation: "Stop" } });
  });

  it("tells why an operation failed, without parking", async () => {
    await addMachine("failing");
    const fault = { code: "prlctl_failed", message: "Parallels Desktop refused.", remedy: "Look." };
    const [answer] = await Promise.all([as("PUT", "/api/v1/machines/failing/start"), world.settle("start", { outcome: "failed", fault })]);
    expect(answer.body).toEqual({ message: "Parallels Desktop refused.", code: 503 });
    const [job] = (await as("GET", "/api/v1/jobs")).body;
    expect(job).toMatchObject({ state: "failed", error: "Parallels Desktop refused.", job_type: "machines", job_operation: "start" });
  });

  it("answers each change of a list by itself", async () => {
    await addMachine("set");
    const operations = [
      { group: "cpu", operation: "set", value: "4" },
      { group: "machine", operation: "pack" },
      { GROUP: "state", Operation: "start" },
    ];
    const settled = world.settle("configure").then(() => world.settle("start"));
    const [answer] = await Promise.all([as("PUT", "/api/v1/machines/set/set", { operations }), settled]);
    expect(answer.status).toBe(200);
    expect(answer.body.operations.map(({ status }: { status: string }) => status)).toEqual(["Success", "Error", "Success"]);
  });

  it("runs a command and gives back its two streams and its exit code", async () => {
    const id = await addMachine("guest", { observed: "running", desired: "running" });
    const running = as("PUT", `/api/v1/machines/${id}/execute`, { command: "echo hello", environment_variables: { A: "secret-value" } });
    const operationId = await until(async () => (await world.sql`select id from operations where machine_id = ${id}`)[0]?.["id"]);
    await appendOutput(world.hub.db, outputSeal(world.hub.sealer), operationId, [
      { operationId, fence: 1, line: 1, stream: "stdout", text: "hello\n" },
      { operationId, fence: 1, line: 2, stream: "stderr", text: "oops\n" },
    ]);
    await world.settle("execute", { result: { exitCode: 3 } });
    expect((await running).body).toEqual({ stdout: "hello", stderr: "oops", exit_code: 3, error: "oops\n, err: exit status 3" });
    const [row] = await world.sql`select input::text as input from operations where id = ${operationId}`;
    expect(row?.["input"]).not.toContain("secret-value");
    await update(id, { observed: "stopped" });
    expect(await as("PUT", `/api/v1/machines/${id}/execute`, { command: "true" })).toMatchObject({
      status: 400,
      body: { message: "error: VM is not running" },
    });
    expect((await as("PUT", `/api/v1/machines/${id}/execute`, {})).body.message).toBe("Invalid request body: error 400: missing script");
  });

  it("removes a stopped machine, and a running one only by force", async () => {
    const id = await addMachine("removed", { observed: "running" });
    expect(await as("DELETE", `/api/v1/machines/${id}`)).toMatchObject({
      status: 400,
      body: { message: "error: VM is not stopped", code: 400 },
    });
    const [answer] = await Promise.all([as("DELETE", `/api/v1/machines/${id}?force=true`), world.settle("retire")]);
    expect(answer).toMatchObject({ status: 202, text: "" });
  });

  it("clones, and answers Success with the new machine's id", async () => {
    const id = await addMachine("source");
    const cloning = as("PUT", `/api/v1/machines/${id}/clone`, { clone_name: "copy" });
    const cloneId = crypto.randomUUID();
    await world.settle("clone", { result: { machineId: cloneId } });
    expect((await cloning).body).toEqual({ id: cloneId, status: "Success" });
  });
});

describe("making machines", () => {
  it.each([
    ["/api/v1/machines", { name: "x", architecture: "arm64" }, "Invalid request body: no template was specified"],
    ["/api/v1/machines", { catalog_manifest: { catalog_id: "x" } }, "Invalid request body: error: Name cannot be empty"],
    [
      "/api/v1/machines",
      { name: "x", vagrant_box: { box: "a/b" }, catalog_manifest: { catalog_id: "x" } },
      "Invalid request body: error: Only one of packer_template, vagrant_box or catalog_manifest can be specified",
    ],
    [
      "/api/v1/machines",
      { name: "x", catalog_manifest: { catalog_id: "x", connection: "host=h", catalog_manager_id: "y" } },
      "Invalid request body: error 400: connection and catalog_manager_id cannot both be provided",
    ],
    ["/api/v1/machines/async", { name: "x" }, "Invalid request body: async machine creation currently supports only catalog_manifest"],
    [
      "/api/v1/orchestrator/machines",
      { name: "x", catalog_manifest: { catalog_id: "x" } },
      "Invalid request body: error: Architecture cannot be empty",
    ],
    ["/api/v1/machines", { name: "../x", catalog_manifest: { catalog_id: "sonoma-mini" } }, /name starts with/],
  ])("refuses at %s: %j", async (path, body, message) => {
    const answer = await as("POST", path, body);
    expect(answer.status).toBe(400);
    expect(answer.body.code).toBe(400);
    if (typeof message === "string") expect(answer.body.message).toBe(message);
    else expect(answer.body.message).toMatch(message);
  });

  it("waits for the machine and answers 200", async () => {
    const body = {
      name: "made-1",
      architecture: "arm64",
      start_on_create: true,
      catalog_manifest: {
        catalog_id: "SONOMA-mini",
        version: "latest",
        connection: "host=root:x@http://127.0.0.1",
        specs: { cpu: "3", memory: "2048" },
      },
    };
    const making = as("POST", "/api/v1/machines", body);
    const operationId = await world.settle("provision");
    const { body: made, status } = await making;
    expect(status).toBe(200);
    expect(made).toMatchObject({ name: "made-1", owner: "root" });
    const machine = (await as("GET", `/api/v2/machines/${made.id}`)).body;
    expect(machine).toMatchObject({ vcpus: 3, memoryBytes: 2 * gibibyte, image: "sonoma-mini/1/arm64" });
    expect((await as("GET", `/api/v2/operations/${operationId}`)).body.onFault).toBe("fail");
  });

  it("answers an async one with its job, which can be asked for and is its caller's own", async () => {
    const { status, body: job } = await as("PUT", "/api/v1/catalog/pull/async", { catalog_id: "sonoma-mini", machine_name: "pulled" });
    expect(status).toBe(202);
    expect(job).toMatchObject({ job_type: "catalog", job_operation: "pull", progress: 0, owner_email: "root@localhost" });
    expect(job.id).toMatch(/^[0-9a-f]{64}$/);
    expect((await as("GET", `/api/v1/jobs/${job.id}`)).body).toMatchObject({ id: job.id, state: "running" });
    expect(await as("GET", "/api/v1/jobs/nope")).toMatchObject({ status: 404, body: { message: "job not found", code: 404 } });
    await world.call("POST", "/api/v1/auth/users", {
      token: root,
      body: { username: "jdoe", name: "J", email: "j@example.com", password: "Correct-horse-8!" },
    });
    const jane = await world.login("jdoe", "Correct-horse-8!");
    expect(await world.call("GET", `/api/v1/jobs/${job.id}`, { token: jane })).toMatchObject({
      status: 403,
      body: { message: "Forbidden to view this job", code: 403 },
    });
    expect((await world.call("GET", "/api/v1/jobs", { token: jane })).body).toEqual([]);
    await world.settle("provision", { outcome: "cancelled" });
  });

  it("answers what keeps an image from being pulled with 400", async () => {
    expect(await as("PUT", "/api/v1/catalog/pull", { catalog_id: "nope", machine_name: "x1" })).toMatchObject({
      status: 400,
      body: { code: 400 },
    });
    expect((await as("PUT", "/api/v1/catalog/pull", { machine_name: "x" })).body.message).toBe(
      "Invalid request body: error 400: missing catalog id",
    );
    await addMachine("taken");
    expect((await as("PUT", "/api/v1/catalog/pull", { catalog_id: "sonoma-mini", machine_name: "Taken" })).status).toBe(400);
  });
});

async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
