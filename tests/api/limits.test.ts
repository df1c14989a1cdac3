/** What a request may cost: its size and its time, how many there may be, and what need not be read again. */
import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { setTimeout as after } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../api/app.ts";
import { openRates, type RateSettings } from "../../api/middleware/rates.ts";
import { serveApi, type ConnectionLimits, type Served } from "../../api/serve.ts";
import { updateMachine } from "../../db/machines.ts";
import { unwrap } from "../../domain/errors.ts";
import { requestMachine } from "../../control/machines.ts";
import { addImage, addStore, asked, newMachine } from "../control/hub.ts";
import { describeStrangers } from "./strangers.ts";
import { openWorld, rootPassword, type World } from "./world.ts";

let world: World;
let root: string;
beforeAll(async () => {
  world = await openWorld();
  root = await world.login("root", rootPassword);
  await addImage(world, await addStore(world), "ubuntu");
});
afterAll(() => world.close());

const make = async () => unwrap(await requestMachine(world.control, newMachine(), asked())).machine;

describe("a connection", () => {
  let served: Served;
  const limits: ConnectionLimits = { headersMs: 300, requestMs: 800, idleMs: 500, connections: 100 };
  beforeAll(async () => {
    served = await serveApi((request, connection) => world.app.fetch(request, connection), { host: "127.0.0.1", port: 0, limits });
  });
  afterAll(() => served.close(0));

  /** Sends the parts with pauses between them, and answers all that comes until the server ends the connection. */
  const raw = async (parts: readonly string[], pauseMs = 0): Promise<string> => {
    const socket = connect({ host: "127.0.0.1", port: served.port, allowHalfOpen: true });
    const answer = text(socket).catch(() => "");
    for (const part of parts) {
      if (!socket.writable) break;
      socket.write(part);
      if (pauseMs > 0) await after(pauseMs);
    }
    return answer;
  };
  const bodyOf = (answer: string) => JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4)) as Record<string, unknown>;

  it("that sends its headers byte by byte is answered 408 and ended", async () => {
    const began = performance.now();
    const answer = await raw(["GET /api/v2/machines HTTP/1.1\r\n", ...Array.from({ length: 40 }, (_, n) => `X-${n}: slow\r\n`)], 100);
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(bodyOf(answer)).toMatchObject({ code: 408 });
    expect(performance.now() - began).toBeLessThan(20_000);
  });

  it("that sends its body drop by drop is answered 408 and ended", async () => {
    const head = "POST /api/v2/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n";
    expect(await raw([head, ...Array.from({ length: 40 }, () => "x")], 100)).toMatch(/^HTTP\/1\.1 408 /);
  });

  it("is told which limit its headers or address go beyond, in the shape of its route", async () => {
    const long = "x".repeat(17_000);
    const headers = await raw([`GET /api/v2/machines HTTP/1.1\r\nHost: x\r\nX-Long: ${long}\r\n\r\n`]);
    expect(headers).toMatch(/^HTTP\/1\.1 431 [\s\S]*application\/problem\+json/);
    expect(bodyOf(headers)).toMatchObject({ code: "invalid_request", status: 431, message: "The headers have more than 16384 bytes." });
    const wire = await raw([`GET /api/v1/machines HTTP/1.1\r\nHost: x\r\nX-Long: ${long}\r\n\r\n`]);
    expect(bodyOf(wire)).toEqual({ code: 431, message: "The headers have more than 16384 bytes." });
    const address = await raw([`GET /api/v2/machines?name=${long} HTTP/1.1\r\nHost: x\r\n\r\n`]);
    expect(address).toMatch(/^HTTP\/1\.1 (414|431) /);
    const shorter = await fetch(`http://127.0.0.1:${served.port}/api/v2/machines?name=${"x".repeat(9000)}`);
    expect(shorter.status).toBe(414);
    expect(await shorter.json()).toMatchObject({ code: "invalid_request", status: 414 });
  });

  it("that says what is no HTTP gets 400 and no stack", async () => {
    expect(await raw(["\u0001\u0002 nonsense\r\n\r\n"])).toMatch(/^HTTP\/1\.1 400 [\s\S]*"message":"What came is no HTTP request\."/);
  });

  it("that is idle is ended, and one that is used is kept", async () => {
    const socket = connect({ host: "127.0.0.1", port: served.port });
    let answers = 0;
    socket.on("data", (part: Buffer) => (answers += part.toString().split("HTTP/1.1 200").length - 1));
    for (let asks = 0; asks < 3; asks++) {
      socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
      await after(200);
    }
    expect(answers).toBe(3);
    await new Promise((resolve) => socket.once("close", resolve));
  });
});

describe("a body", () => {
  const login = (bytes: number) => world.call("POST", "/api/v2/login", { body: { username: "x".repeat(bytes), password: "y" } });

  it("is refused where it is longer than its route takes, and told how long it may be", async () => {
    expect(await login(70_000)).toMatchObject({ status: 413, body: { message: expect.stringContaining("65536 bytes") } });
    const machine = await make();
    const script = (bytes: number) => ({ verb: "execute", script: "x".repeat(bytes) });
    const run = (bytes: number) => world.call("POST", `/api/v2/machines/${machine.id}/actions`, { token: root, body: script(bytes) });
    expect((await run(3_000_000)).status).toBe(400);
    expect(await run(9_000_000)).toMatchObject({ status: 413, body: { message: expect.stringContaining("8388608 bytes") } });
    expect((await world.call("PUT", "/api/v1/user/configs/x", { token: root, body: { value: "x".repeat(3_000_000) } })).status).toBe(413);
  });
});

describe("rates", () => {
  /** The same hub with limits of its own. */
  const limited = (rates: Partial<RateSettings>) => {
    const app = createApp({ ...world.hub, rates: openRates({ callerPerMinute: 0, sourcePerMinute: 0, callerAtOnce: 1000, ...rates }) });
    return (path: string, headers: Record<string, string> = {}) => app.request(path, { headers });
  };
  const bearer = {
    get Authorization() {
      return `Bearer ${root}`;
    },
  };

  it("give a caller so many requests a minute, told in each answer, then 429 with the time to wait", async () => {
    const get = limited({ callerPerMinute: 3 });
    const answers = [];
    for (let n = 0; n < 4; n++) answers.push(await get("/api/v2/whoami", { Authorization: bearer.Authorization }));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
    expect(answers.map(({ headers }) => headers.get("RateLimit-Remaining"))).toEqual(["2", "1", "0", "0"]);
    const last = answers[3];
    expect(last?.headers.get("RateLimit-Limit")).toBe("3");
    expect(Number(last?.headers.get("Retry-After"))).toBeGreaterThan(0);
    expect(await last?.json()).toMatchObject({ code: "rate_limited", status: 429 });
    expect(await (await get("/api/v1/machines", { Authorization: bearer.Authorization })).json()).toMatchObject({ code: 429 });
  });

  it("count each key for itself, and strangers by where they come from, wrong credentials too", async () => {
    const get = limited({ callerPerMinute: 2, sourcePerMinute: 2 });
    const made = await world.call("POST", "/api/v2/api-keys", {
      token: root,
      body: { name: `rates-${randomUUID()}`, claims: null, expiresAt: null },
    });
    const key = { "X-Api-Key": made.body.secret as string };
    const statuses = async (headers: Record<string, string>) => {
      const told = [];
      for (let n = 0; n < 3; n++) told.push((await get("/api/v2/whoami", headers)).status);
      return told;
    };
    expect(await statuses({ Authorization: bearer.Authorization })).toEqual([200, 200, 429]);
    expect(await statuses(key)).toEqual([200, 200, 429]);
    expect(await statuses({ Authorization: "Bearer garbage" })).toEqual([401, 401, 429]);
    // Health is nobody's request.
    for (let n = 0; n < 5; n++) expect((await get("/healthz")).status).toBe(200);
  });
});

describeStrangers(() => world);

describe("a conditional read", () => {
  const get = (path: string, known?: string, token = root) =>
    world.call("GET", path, { token, headers: known === undefined ? {} : { "If-None-Match": known } });

  it("of a machine or a list is answered 304 until something of it changes", async () => {
    const machine = await make();
    for (const path of [`/api/v2/machines/${machine.id}`, `/api/v2/machines/${machine.name}`, "/api/v2/machines?limit=5"]) {
      const first = await get(path);
      const etag = first.headers.get("ETag") ?? "";
      expect(etag, path).toMatch(/^"[\w-]+"$/);
      const again = await get(path, `"other", W/${etag}`);
      expect(again, path).toMatchObject({ status: 304, text: "" });
      expect(again.headers.get("ETag")).toBe(etag);
      await updateMachine(world.control.db, machine.id, { description: randomUUID() });
      const changed = await get(path, etag);
      expect(changed.status, path).toBe(200);
      expect(changed.headers.get("ETag")).not.toBe(etag);
    }
  });

  it("works for every other read of both families, and leaves refusals unmarked", async () => {
    for (const path of [
      "/api/v2/hosts",
      "/api/v2/images",
      "/api/v2/operations",
      "/api/v1/machines",
      "/api/v1/orchestrator/machines",
      "/api/v1/auth/users",
    ]) {
      const first = await get(path);
      const etag = first.headers.get("ETag") ?? "";
      expect(etag, path).not.toBe("");
      expect((await get(path, etag)).status, path).toBe(304);
      expect(first.headers.get("Cache-Control"), path).toContain("private");
    }
    const missing = await get("/api/v2/machines/nothing", "*");
    expect(missing.status).toBe(404);
    expect(missing.headers.get("ETag")).toBeNull();
  });

  it("tells callers who see other things other marks", async () => {
    await make();
    const made = await world.call("POST", "/api/v2/projects", { token: root, body: { id: `p-${randomUUID()}` } });
    expect(made.status).toBe(201);
    const name = `far-${randomUUID()}`;
    const body = { username: name, name, email: `${name}@example.com`, password: "Correct-horse-8!" };
    await world.call("POST", "/api/v1/auth/users", { token: root, body: { ...body, claims: ["LIST_VM"] } });
    expect((await world.call("PUT", `/api/v2/projects/${made.body.id}/users/${name}`, { token: root })).status).toBe(200);
    const stranger = await world.login(name, "Correct-horse-8!");
    const own = await get("/api/v2/machines");
    const theirs = await get("/api/v2/machines", own.headers.get("ETag") ?? "", stranger);
    expect(theirs).toMatchObject({ status: 200, body: { items: [] } });
  });

  it("guards a change: what is not as its caller knows it is left alone", async () => {
    const machine = await make();
    const etag = (await get(`/api/v2/machines/${machine.id}`)).headers.get("ETag") ?? "";
    const amend = (description: string, known: string) =>
      world.call("PATCH", `/api/v2/machines/${machine.id}`, { token: root, body: { description }, headers: { "If-Match": known } });
    expect(await amend("first", etag)).toMatchObject({ status: 200, body: { description: "first" } });
    expect(await amend("second", etag)).toMatchObject({ status: 412, body: { code: "changed_meanwhile" } });
    expect((await get(`/api/v2/machines/${machine.id}`)).body.description).toBe("first");
  });
});
