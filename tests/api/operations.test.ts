/** Our own API: operations that are read, waited for, followed and cancelled; lists in pages; creates that may be repeated. */
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { EventSourceParserStream } from "eventsource-parser/stream";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { documentText, openApiFile } from "../../api/openapi.ts";
import { serveApi } from "../../api/serve.ts";
import { addHost, addImage, addStore } from "../control/hub.ts";
import { openWorld, rootPassword, type World } from "./world.ts";

let world: World;
let root: string;
beforeAll(async () => {
  world = await openWorld();
  root = await world.login("root", rootPassword);
  await addHost(world);
  await addImage(world, await addStore(world), "golden");
});
afterAll(() => world.close());

const as = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
  world.call(method, `/api/v2${path}`, { token: root, body, headers });
const make = async (name: string) => {
  const { status, body } = await as("POST", "/machines", { name, image: { catalogId: "golden" } });
  expect(status).toBe(202);
  return { id: String(body.operation.id), machineId: String(body.machine.id) };
};

describe("operations", () => {
  it("are accepted at once and shown with steps, progress and a link to their workflow", async () => {
    const { id, machineId } = await make("shown");
    const { body } = await as("GET", `/operations/${id}`);
    expect(body).toMatchObject({ id, machineId, verb: "provision", state: "running", onFault: "park", steps: [], progress: null });
    expect(body.temporalUrl).toBe(`http://127.0.0.1:8233/namespaces/${world.namespace}/workflows/${encodeURIComponent(body.workflowId)}`);
  });

  it("are waited for: at their end, or when the time is over, with 200", async () => {
    const { id } = await make("waited");
    expect((await as("GET", `/operations/${id}/wait?timeout=0`)).body.state).toBe("running");
    const [ended] = await Promise.all([as("GET", `/operations/${id}/wait?timeout=60`), world.settle("provision")]);
    expect(ended).toMatchObject({ status: 200, body: { state: "done" } });
    expect((await as("GET", `/operations/${id}/wait?timeout=61`)).status).toBe(400);
  });

  it("are followed by events that go on after the last one seen", async () => {
    const { id } = await make("followed");
    const following = read(await world.app.request(`/api/v2/operations/${id}/events`, { headers: { Authorization: `Bearer ${root}` } }));
    await world.relay();
    await world.settle("provision");
    await world.relay();
    const seen = await following;
    const numbered = seen.filter(({ id: number }) => number !== undefined);
    expect(numbered.map(({ event }) => event)).toEqual(["operation.pending", "operation.running", "operation.done"]);
    expect(
      seen
        .filter(({ event }) => event === "state")
        .map(({ data }) => JSON.parse(data).state)
        .at(-1),
    ).toBe("done");

    const headers = { Authorization: `Bearer ${root}`, "Last-Event-ID": numbered[0]?.id ?? "" };
    const rest = await read(await world.app.request(`/api/v2/operations/${id}/events`, { headers }));
    expect(rest.filter(({ id: number }) => number !== undefined).map(({ event }) => event)).toEqual([
      "operation.running",
      "operation.done",
    ]);
  });

  it("are cancelled once, and refuse when they have ended", async () => {
    const { id } = await make("cancelled");
    expect(await as("POST", `/operations/${id}/cancel`)).toMatchObject({ status: 202, body: { state: "cancelling" } });
    await world.sql`update operations set state = 'cancelled' where id = ${id}`;
    expect(await as("POST", `/operations/${id}/cancel`)).toMatchObject({ status: 409, body: { code: "operation_settled" } });
  });

  it("give whoever pushes from their own computer a right that is tied to the push and outlives their login", async () => {
    const pushed = async (hostId?: string) => {
      const wanted = { path: "/a.pvm", catalogId: `own-${crypto.randomUUID()}`, architecture: "arm64", ...(hostId ? { hostId } : {}) };
      return String((await as("POST", "/images", wanted)).body.id);
    };
    const [id, other, onHost] = [await pushed(), await pushed(), await pushed(await addHost(world))];
    const given = await as("POST", `/operations/${id}/transfer-token`);
    expect(given.status).toBe(201);
    expect(Date.parse(given.body.expiresAt) - Date.now()).toBeGreaterThan(11 * 3_600_000);
    const { token } = given.body;
    expect((await world.transfers.verify(token)).operationId).toBe(id);
    const seen = (operation: string, bearer = token) => world.call("GET", `/api/v2/operations/${operation}/transfer`, { token: bearer });
    expect(await seen(id)).toMatchObject({ status: 200, body: { id, verb: "push" } });
    expect((await seen(other)).status).toBe(404);
    expect((await seen(id, root)).status).toBe(401);
    for (const path of [`/operations/${id}`, "/machines", "/whoami"])
      expect((await world.call("GET", `/api/v2${path}`, { token })).status, path).toBe(401);

    expect(await as("POST", `/operations/${onHost}/transfer-token`)).toMatchObject({ status: 400, body: { code: "invalid_request" } });
    await world.sql`update operations set actor_id = 'somebody else' where id = ${other}`;
    expect(await as("POST", `/operations/${other}/transfer-token`)).toMatchObject({ status: 404 });
    await world.sql`update operations set state = 'done' where id = ${id}`;
    expect(await as("POST", `/operations/${id}/transfer-token`)).toMatchObject({ status: 409, body: { code: "operation_settled" } });
  });

  it("are nobody else's business", async () => {
    const { id } = await make("private");
    await world.call("POST", "/api/v1/auth/users", {
      token: root,
      body: { username: "jdoe", name: "J", email: "j@example.com", password: "Correct-horse-8!" },
    });
    const jane = await world.login("jdoe", "Correct-horse-8!");
    for (const path of ["", "/wait?timeout=0", "/events", "/output", "/screen"]) {
      expect(await world.call("GET", `/api/v2/operations/${id}${path}`, { token: jane })).toMatchObject({
        status: 404,
        body: { code: "operation_not_found" },
      });
    }
    expect((await world.call("GET", "/api/v2/operations", { token: jane })).body.items).toEqual([]);
  });
});

describe("creates", () => {
  const wanted = { name: "once", image: { catalogId: "golden" } };
  it("may be repeated with a key, and refuse another body under it", async () => {
    const [first, again] = await Promise.all([1, 2].map(() => as("POST", "/machines", wanted, { "Idempotency-Key": "k-1" })));
    expect(again?.body.operation.id).toBe(first?.body.operation.id);
    expect(again?.body.machine.id).toBe(first?.body.machine.id);
    expect(await as("POST", "/machines", { ...wanted, name: "other" }, { "Idempotency-Key": "k-1" })).toMatchObject({
      status: 409,
      body: { code: "idempotency_conflict" },
    });
    expect(await as("POST", "/machines", wanted)).toMatchObject({ status: 409, body: { code: "machine_exists" } });
  });
  it("name every field that is wrong, with the request's id", async () => {
    const answer = await as("POST", "/machines", { name: "", image: { catalogId: "a/b" }, vcpus: -1 }, { "X-Request-Id": "trace-1" });
    expect(answer.status).toBe(400);
    expect(answer.headers.get("Content-Type")).toContain("application/problem+json");
    expect(answer.body).toMatchObject({ code: "invalid_request", requestId: "trace-1" });
    expect(answer.body.details.issues.map(({ path }: { path: string }) => path)).toEqual(
      expect.arrayContaining(["name", "image.catalogId", "vcpus"]),
    );
    expect(answer.body.remedy).not.toBe("");
  });
});

describe("lists", () => {
  it("come in pages that neither repeat nor lose a row", async () => {
    const names: string[] = [];
    let cursor: string | null = null;
    do {
      const { body } = await as("GET", `/machines?limit=2${cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`}`);
      names.push(...body.items.map(({ name }: { name: string }) => name));
      cursor = body.nextCursor;
    } while (cursor !== null);
    expect(new Set(names).size).toBe(names.length);
    expect(names.toSorted()).toEqual((await as("GET", "/machines")).body.items.map(({ name }: { name: string }) => name).toSorted());
    expect((await as("GET", "/machines?cursor=nonsense")).status).toBe(400);
    expect((await as("GET", "/machines?limit=0")).status).toBe(400);
  });
  it("come whole as JSON lines, page after page, for whoever asks for lines", async () => {
    const lines = await as("GET", "/machines?limit=1", undefined, { Accept: "application/x-ndjson" });
    expect([lines.status, lines.headers.get("Content-Type")]).toEqual([200, "application/x-ndjson"]);
    const items = lines.text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(items.length).toBeGreaterThan(1);
    expect(items).toEqual((await as("GET", "/machines")).body.items);
    const one = await as("GET", `/machines/${items[0].name}`, undefined, { Accept: "application/x-ndjson" });
    expect(one.body).toMatchObject({ name: items[0].name });
    const refused = await as("GET", "/machines?limit=0", undefined, { Accept: "application/x-ndjson" });
    expect([refused.status, refused.body.code]).toEqual([400, "invalid_request"]);
  });
  it("are filtered", async () => {
    expect((await as("GET", "/machines?name=SHOWN")).body.items).toHaveLength(1);
    expect((await as("GET", "/operations?verb=provision&state=done")).body.items.length).toBeGreaterThan(0);
    expect((await as("GET", "/operations?verb=dance")).status).toBe(400);
    expect((await as("GET", "/images?catalogId=golden&architecture=x86_64")).body.items).toEqual([]);
  });
});

it("acts on machines by the claims of each verb", async () => {
  const { machineId } = await make("acting");
  await world.settle("provision");
  await world.sql`update machines set observed = 'stopped', host_id = (select id from hosts limit 1) where id = ${machineId}`;
  expect(await as("POST", `/machines/acting/actions`, { verb: "start" })).toMatchObject({
    status: 202,
    body: { verb: "start", machineId },
  });
  expect(await as("POST", `/machines/acting/actions`, { verb: "rename", name: "x" })).toMatchObject({
    status: 409,
    body: { code: "machine_busy" },
  });
  expect((await as("PATCH", "/machines/acting", { ttlSeconds: 60, labels: { team: "a" } })).body).toMatchObject({ labels: { team: "a" } });
  const [retired, again] = [await as("DELETE", "/machines/acting"), await as("DELETE", "/machines/acting")];
  expect(retired.status).toBe(202);
  expect(again.body.id).toBe(retired.body.id);
});

describe("documentation", () => {
  it("is committed as the routes tell it: run `npm run openapi` when this fails", async () => {
    expect(JSON.parse(await readFile(openApiFile, "utf8"))).toEqual(JSON.parse(documentText()));
  });
  it("tells of each route of the wire whether it is served, and of no other", async () => {
    const page = await readFile(new URL("../../docs/compatibility.md", import.meta.url), "utf8");
    const rows = [...page.matchAll(/^\| ([A-Z]+) +\| `(\/api\/[^`]*)` +\| (same|better|refused|not served) +\| (.*?) *\|$/gm)];
    const bare = (path: string) => path.replaceAll(/\{\w+\}/g, "{}");
    const told = rows.map(([, method = "", path = "", state = "", note = ""]) => ({ route: `${method} ${bare(path)}`, state, note }));
    const documented = Object.entries(JSON.parse(documentText()).paths as Record<string, object>)
      .filter(([path]) => path.startsWith("/api/v1/"))
      .flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${bare(path)}`));
    const served = told.filter(({ state }) => state !== "not served").map(({ route }) => route);
    expect(served.toSorted()).toEqual(documented.toSorted());
    expect(told.filter(({ state, route }) => state === "not served" && documented.includes(route))).toEqual([]);
    expect(told.filter(({ state, note }) => state !== "same" && note === "")).toEqual([]);
  });
  it("is a page whose parts all come from here", async () => {
    const page = (await world.call("GET", "/docs")).text;
    const parts = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, part]) => part ?? "");
    expect(parts).toHaveLength(3);
    for (const part of parts) expect((await world.call("GET", part)).status, part).toBe(200);
    expect((await world.call("GET", "/openapi.json")).body.openapi).toBe("3.1.0");
  });
});

it("answers a request that asks for HTTP/2 as the plain request that it is", async () => {
  const served = await serveApi((request) => world.app.fetch(request), { host: "127.0.0.1", port: 0 });
  try {
    const body = JSON.stringify({ email: "root", password: rootPassword });
    const head = [
      "POST /api/v1/auth/token HTTP/1.1",
      "Host: localhost",
      "Connection: Upgrade, HTTP2-Settings",
      "Upgrade: h2c",
      "HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
      `Content-Length: ${body.length}`,
    ];
    const text = await new Promise<string>((resolve, reject) => {
      const socket = connect(served.port, "127.0.0.1", () => socket.write(`${head.join("\r\n")}\r\n\r\n${body}`));
      let all = "";
      socket.on("error", reject).on("data", (data) => {
        all += String(data);
        if (all.includes('"expires_at"')) resolve(all);
      });
      socket.on("close", () => resolve(all));
    });
    expect(text).toMatch(/^HTTP\/1\.1 200 OK/);
  } finally {
    await served.close(0);
  }
});

it("writes no secret and no token to its log", () => {
  const log = world.lines.join("");
  expect(log).toContain("/api/v1/auth/token");
  for (const secret of [rootPassword, root, "an-unguessable-path/"]) expect(log).not.toContain(secret);
});

async function read(response: Response): Promise<{ id: string | undefined; event: string | undefined; data: string }[]> {
  expect(response.headers.get("Content-Type")).toContain("text/event-stream");
  const events: { id: string | undefined; event: string | undefined; data: string }[] = [];
  const stream = response.body?.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
  if (stream) for await (const { id, event, data } of stream) events.push({ id, event, data });
  return events;
}
