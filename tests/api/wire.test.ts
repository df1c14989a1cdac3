/** The wire: statuses, keys and quirks that its existing clients rely on. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../api/app.ts";
import { modules } from "../../domain/config/modules.ts";
import { addHost, addImage, addStore, gibibyte } from "../control/hub.ts";
import { describePages } from "./wire-pages.ts";
import { describeProxy } from "./wire-proxy.ts";
import { describeTls } from "./wire-tls.ts";
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
const talk = { world: () => world, hostId: () => hostId, as };
describeProxy(talk);
describePages(talk);
describeTls(() => world);

describe("paths", () => {
  it.each(["/api/v1/machines", "/api/machines", "/api/v1/machines/", "/api/v1//machines", "//api///v1/machines//"])(
    "serves %s without a redirect",
    async (path) => {
      expect((await as("GET", path)).status).toBe(200);
    },
  );
  it("answers the unknown with a number in the body", async () => {
    expect(await world.call("GET", "/api/v1/no/such/path")).toMatchObject({
      status: 404,
      body: { message: "resource /api/v1/no/such/path not found", code: 404 },
    });
    expect(await world.call("GET", "/nope")).toMatchObject({ status: 404, body: { message: "resource /nope not found", code: 404 } });
    expect(await world.call("GET", "/api/v2/nope")).toMatchObject({ status: 404, body: { code: "route_not_found" } });
  });
  it("tells the methods of a path that has others", async () => {
    const answer = await as("PATCH", "/api/v1/machines", {});
    expect(answer.status).toBe(405);
    expect(answer.headers.get("Allow")).toContain("POST");
    expect((await world.call("OPTIONS", "/api/v1/machines")).status).toBe(204);
    expect((await world.call("HEAD", "/api/v1/auth/token")).status).toBe(405);
    expect((await world.call("HEAD", "/api/health/probe")).status).toBe(200);
  });
  it("lets browsers of any origin in", async () => {
    const answer = await world.call("GET", "/api/health/probe", { headers: { Origin: "https://ui.example.com" } });
    expect(answer.headers.get("Access-Control-Allow-Origin")).toBe("*");
    const headers = {
      Origin: "https://ui.example.com",
      "Access-Control-Request-Method": "PUT",
      "Access-Control-Request-Headers": "X-Api-Key",
    };
    const preflight = await world.call("OPTIONS", "/api/v1/machines/x/start", { headers });
    expect([200, 204]).toContain(preflight.status);
    expect(preflight.headers.get("Access-Control-Allow-Headers")).toMatch(/X-Api-Key/i);
  });
});

describe("bodies", () => {
  it.each(["{", "[]", '"x"', "null", '{"operations":5}', '{"operations":[{"group":5}]}', "\u0000", '{"name":"\\u0000"}', ""])(
    "never fails on %j",
    async (body) => {
      for (const [method, path] of [
        ["PUT", "/api/v1/machines/x/set"],
        ["POST", "/api/v1/machines"],
        ["PUT", "/api/v1/catalog/pull"],
        ["POST", "/api/v1/auth/token"],
        ["POST", "/api/v2/machines"],
      ] as const) {
        const answer = await as(method, path, body);
        expect(answer.status, `${method} ${path}: ${answer.text}`).toBeGreaterThanOrEqual(400);
        expect(answer.status).toBeLessThan(500);
        expect(answer.text).not.toMatch(/\bat .*\.ts:\d/);
      }
    },
  );
  it("refuses addresses that no table can hold", async () => {
    for (const path of ["/api/v1/machines/%00", "/api/v1/catalog/%00/1", "/api/v2/machines/a%00b", "/api/v1/machines/%E0%A4%A"])
      expect((await as("GET", path)).status).toBeLessThan(500);
  });
});

describe("the catalog", () => {
  it("groups, lists and gets with the shapes that clients parse", async () => {
    const { body } = await as("GET", "/api/v1/catalog");
    expect(body).toHaveLength(1);
    expect(body[0]["SONOMA-MINI"][0]).toMatchObject({
      name: "sonoma-mini-arm64-1",
      catalog_id: "SONOMA-MINI",
      version: "1",
      type: "pvm",
      size: gibibyte,
      pack_filename: "sonoma-mini-arm64-1.pdpack",
    });
    expect((await as("GET", "/api/v1/catalog/Sonoma-Mini")).body).toHaveLength(1);
    expect(await as("GET", "/api/v1/catalog/no-such")).toMatchObject({ status: 200, body: [] });
    expect(await as("GET", "/api/v1/catalog/no-such/v1")).toMatchObject({
      status: 404,
      body: { message: "error 404: catalog manifest not found", code: 404 },
    });
    expect((await as("GET", "/api/v1/catalog/SONOMA-MINI/1/aarch64")).body.architecture).toBe("arm64");
  });

  it("lists what changed last first: images by their newest version, and versions of one", async () => {
    const at = (minute: number) => ({ createdAt: new Date(2026, 0, 1, 0, 10 - minute), updatedAt: new Date(2026, 0, 1, 0, minute) });
    const oldest = await addImage(world, storeId, "order-a", { version: "1", ...at(1) });
    await addImage(world, storeId, "order-b", { version: "1", ...at(2) });
    await addImage(world, storeId, "order-a", { version: "2", ...at(3) });
    const all = async () => (await as("GET", "/api/v1/catalog", undefined, { "X-Filter": "catalog_id=ORDER-.*" })).body;
    const versions = async () => (await as("GET", "/api/v1/catalog/order-a")).body.map(({ version }: { version: string }) => version);
    expect((await all()).flatMap(Object.keys)).toEqual(["ORDER-A", "ORDER-B"]);
    expect((await all())[0]["ORDER-A"].map(({ version }: { version: string }) => version)).toEqual(["2", "1"]);
    expect(await versions()).toEqual(["2", "1"]);

    await as("PATCH", "/api/v1/catalog/order-b/1/arm64/taint");
    expect((await all()).flatMap(Object.keys)).toEqual(["ORDER-B", "ORDER-A"]);
    await as("PATCH", "/api/v1/catalog/order-a/1/arm64/tags", { tags: ["changed"] });
    expect(await versions()).toEqual(["1", "2"]);
    expect((await all())[0]["ORDER-A"][0]).toMatchObject({ id: oldest });
    for (const id of ["order-a", "order-b"]) await as("DELETE", `/api/v1/catalog/${id}`);
  });

  it("marks, edits and removes", async () => {
    await addImage(world, storeId, "marked");
    const path = "/api/v1/catalog/marked/1/arm64";
    expect((await as("PATCH", `${path}/taint`)).body).toMatchObject({ tainted: true, tainted_by: "root" });
    expect(await as("GET", `${path}/download`)).toMatchObject({ status: 400, body: { message: "Manifest is tainted", code: 400 } });
    expect((await as("PATCH", `${path}/untaint`)).body).toMatchObject({ untainted_by: "root" });
    expect((await as("GET", `${path}/download`)).body).toMatchObject({ download_count: 1, last_downloaded_user: "root" });
    expect((await as("PATCH", `${path}/roles`, { required_roles: ["ADMIN"] })).body).toMatchObject({
      required_roles: ["ADMIN"],
      pack_path: "marked-arm64-1.pdpack",
    });
    expect(await as("PATCH", `${path}/tags`, { tags: [] })).toMatchObject({ status: 400, body: { message: "No tags provided" } });
    await world.call("POST", "/api/v1/auth/users", {
      token: root,
      body: { username: "jdoe", name: "J", email: "j@example.com", password: "Correct-horse-8!" },
    });
    const jane = await world.login("jdoe", "Correct-horse-8!");
    expect((await world.call("GET", path, { token: jane })).status).toBe(404);
    expect((await as("DELETE", `${path}/roles`, { required_roles: ["admin"] })).body.required_roles).toEqual([]);
    expect((await world.call("GET", path, { token: jane })).status).toBe(200);
    expect((await as("PATCH", `${path}/revoke`)).body.revoked).toBe(true);
    expect(await as("GET", `${path}/download`)).toMatchObject({ status: 403, body: { message: "Manifest is revoked", code: 403 } });
    expect((await as("DELETE", path)).status).toBe(202);
    expect((await as("DELETE", path)).status).toBe(404);
  });

  it("refuses pushes that lack something, and never tells a connection back", async () => {
    expect((await as("POST", "/api/v1/catalog/push", { catalog_id: "x" })).body.message).toBe(
      "Invalid request body: error 400: missing local path",
    );
    const body = { local_path: "/x.pvm", catalog_id: "x", version: "1", connection: "provider=floppy;secret_key=top-secret" };
    const refused = await as("POST", "/api/v1/catalog/push", body);
    expect(refused.status).toBe(400);
    expect(refused.text).not.toContain("top-secret");
    expect((await as("POST", "/api/v1/catalog/push", { ...body, connection: "", compress_level: "most" })).status).toBe(400);
  });

  it("pushes from the only host, replacing what was there", async () => {
    const { status, body } = await as("POST", "/api/v1/catalog/push/async", {
      local_path: "/machines/x.pvm",
      catalog_id: "Pushed Image",
      version: "2",
      architecture: "aarch64",
    });
    expect(status).toBe(202);
    expect(body).toMatchObject({ job_type: "catalog", job_operation: "push" });
    const [row] = await world.sql`select input, host_id from operations where verb = 'push'`;
    expect(row).toMatchObject({
      host_id: hostId,
      input: { catalogId: "pushed_image", architecture: "arm64", replace: true, onFault: "fail" },
    });
  });
});

describe("hosts", () => {
  it("lists, sums and switches them", async () => {
    const { body } = await as("GET", "/api/v1/orchestrator/hosts");
    expect(body[0]).toMatchObject({
      id: hostId,
      enabled: true,
      state: "healthy",
      architecture: "arm64",
      resources: { logical_cpu_count: 9, memory_size: 33 * 1024 },
    });
    expect(await as("GET", "/api/v1/orchestrator/overview/resources")).toMatchObject({
      status: 202,
      body: [{ cpu_type: "arm64", total: { logical_cpu_count: 9 } }],
    });
    expect((await as("PUT", `/api/v1/orchestrator/hosts/${hostId}/disable`)).body.enabled).toBe(false);
    expect((await as("PUT", `/api/v1/orchestrator/hosts/${hostId}/enable`)).body.enabled).toBe(true);
    expect(await as("PUT", `/api/v1/orchestrator/hosts/${hostId}`, { tags: ["ci"] })).toMatchObject({
      status: 201,
      body: { tags: ["ci"] },
    });
    expect(await as("GET", "/api/v1/orchestrator/hosts/nope")).toMatchObject({
      status: 404,
      body: { message: "error 404: host not found", code: 404 },
    });
    expect((await as("DELETE", "/api/v1/orchestrator/hosts/nope")).status).toBe(202);
    expect((await as("GET", "/api/v1/config/hardware")).body).toMatchObject({
      cpu_type: "arm64",
      total: { logical_cpu_count: 9, disk_count: 500 * 1024 },
    });
    expect((await as("GET", "/api/v1/config/parallels-desktop/license")).body.cpu_total).toBe(9);
  });

  it("asks for the header where several hosts leave open which is meant", async () => {
    const other = await addHost(world);
    expect((await as("POST", "/api/v1/catalog/push", { local_path: "/x.pvm", catalog_id: "x", version: "1" })).body.message).toContain(
      "X-Drover-Host",
    );
    expect((await as("GET", "/api/v1/config/parallels-desktop/license")).status).toBe(400);
    expect((await as("GET", "/api/v1/config/parallels-desktop/license", undefined, { "X-Drover-Host": other })).status).toBe(200);
    expect((await as("GET", "/api/v1/machines", undefined, { "X-Drover-Host": other })).body).toEqual([]);
    expect((await as("GET", "/api/v1/machines", undefined, { "X-Drover-Host": "nope" })).status).toBe(404);
    expect((await as("GET", "/api/v1/machines")).status).toBe(200);
  });
});

it("has the families of routes that are enabled, under the prefix that is configured", async () => {
  const settings = { ...world.hub.settings, modules: ["api", "host"], prefix: "/devops" };
  const app = createApp({ ...world.hub, settings });
  const status = async (path: string) =>
    (await app.request(path, { headers: { Authorization: `Bearer ${root}`, Origin: "https://x" } })).status;
  expect(await status("/devops/v1/machines")).toBe(200);
  expect(await status("/devops/machines")).toBe(200);
  expect(await status("/devops/v2/machines")).toBe(200);
  expect(await status("/devops/v1/catalog")).toBe(404);
  expect(await status("/devops/v1/orchestrator/hosts")).toBe(404);
});

it.each([
  ["host", ["machines", "templates/packer", "catalog/cache", "cache"]],
  ["orchestrator", ["orchestrator/hosts", "orchestrator/machines", "orchestrator/overview/resources"]],
  ["catalog", ["catalog", "catalog/sonoma-mini/1"]],
  ["catalog_manager", ["catalog-managers"]],
  ["reverse_proxy", ["reverse-proxy", "reverse-proxy/hosts"]],
] as const)("has the routes of %s where that is enabled, and nowhere else; all hubs know who asks", async (module, paths) => {
  const statuses = async (modules: readonly string[]) => {
    const app = createApp({ ...world.hub, settings: { ...world.hub.settings, modules } });
    const asking = ["auth/users", "jobs", ...paths].map(async (path) =>
      app.request(`/api/v1/${path}`, { headers: { Authorization: `Bearer ${root}` } }),
    );
    return (await Promise.all(asking)).map(({ status }) => status === 404);
  };
  const without = modules.filter((one) => one !== module);
  expect(await statuses(["api", module])).toEqual([false, false, ...paths.map(() => false)]);
  // What the catalog's paths may name is anything: a host's cache is then an image of that name, which there is none of.
  expect((await statuses(without)).slice(0, 2)).toEqual([false, false]);
  expect((await statuses(without)).slice(2).filter(Boolean)).toHaveLength(
    paths.filter((path) => !(module === "host" && path === "catalog/cache")).length,
  );
});

it("tells its health as probes expect", async () => {
  expect(await world.call("GET", "/api/health/probe")).toMatchObject({ status: 200, body: { status: "OK" } });
  expect(await world.call("GET", "/api/v1/health/system?full=true")).toMatchObject({
    status: 200,
    body: { healthy: true, message: "All Services Running" },
  });
  expect(await world.call("GET", "/readyz")).toMatchObject({ status: 200, body: { ready: true, missing: [] } });
  expect((await world.call("GET", "/metrics")).text).toMatch(
    /drover_api_request_duration_seconds_count\{method="GET",route="\/api\/v1\/machines"/,
  );
});
