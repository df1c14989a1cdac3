/**
 * The command line against the real API over HTTP, with a real database behind it. Nothing works on what is started: the test ends operations as their
 * workflow would, so that each ending can be seen.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { serveApi, type Served } from "../../api/serve.ts";
import { relay } from "../../control/relay.ts";
import { recordAudit } from "../../db/audit.ts";
import { listOperations } from "../../db/operations.ts";
import { openWorld, rootPassword, type World } from "../api/world.ts";
import { addHost, addImage, addStore } from "../control/hub.ts";
import { typing } from "./typed.ts";

let world: World;
let served: Served;
let folder: string;
let host: string;
let loginFile: string;
const port = () => served.port;

beforeAll(async () => {
  world = await openWorld();
  served = await serve(0);
  folder = await mkdtemp(join(tmpdir(), "drover-cli-"));
  host = await addHost(world);
  await addImage(world, await addStore(world), "base", { version: "1.0" });
  const { out } = await drover(["login", `http://127.0.0.1:${port()}`, "--username", "root", "--json"], {
    env: { DROVER_PASSWORD: rootPassword },
  });
  loginFile = JSON.parse(out).file;
});
afterAll(async () => {
  await served.close(0);
  await world.close();
  await rm(folder, { recursive: true, force: true });
});

const serve = (at: number) => serveApi((request) => world.app.fetch(request), { host: "127.0.0.1", port: at });

const drover = typing(() => folder);
const pull = (...more: string[]) => drover(["pull", "base:1.0", "--host", host, ...more]);
const newest = async () => (await listOperations(world.control.db, {}, { limit: 1 })).items[0]?.id ?? "";

describe("drover and a hub", () => {
  it("logs in, keeps the token, and asks in that name", async () => {
    expect(loginFile).toBe(join(folder, "config", "login.json"));
    const { out } = await drover(["whoami", "--json"]);
    expect(JSON.parse(out)).toMatchObject({ url: `http://127.0.0.1:${port()}`, username: "root" });
  });

  it("tells a wrong password as 3 and keeps the login of before", async () => {
    const { exitCode } = await drover(["login", `http://127.0.0.1:${port()}`, "--username", "root"], { env: { DROVER_PASSWORD: "wrong" } });
    expect(exitCode).toBe(3);
    expect((await drover(["whoami"])).exitCode).toBe(0);
  });

  it("waits for an operation and ends with 0 when it is done", async () => {
    const running = pull("--json");
    await world.settle("pull", { result: { fetchedBytes: 5, logicalBytes: 10 } });
    const { exitCode, out, err } = await running;
    expect([exitCode, err]).toEqual([0, ""]);
    expect(JSON.parse(out)).toMatchObject({ verb: "pull", state: "done", result: { fetchedBytes: 5 } });
  });

  it("ends with 6 and tells message, code and remedy when it failed", async () => {
    const running = pull();
    await world.settle("pull", { outcome: "failed", fault: { code: "no_space", message: "mac-1 is full.", remedy: "Free space." } });
    expect(await running).toMatchObject({
      exitCode: 6,
      out: "",
      err: expect.stringContaining("drover: mac-1 is full. (no_space)\n        Free space.\n"),
    });
  });

  it("ends with 7 when it was cancelled", async () => {
    const running = pull();
    await world.settle("pull", { outcome: "cancelled", fault: { code: "operation_cancelled", message: "It was cancelled.", remedy: "" } });
    expect((await running).exitCode).toBe(7);
  });

  it("ends with 9 when the time to wait is over, and the operation goes on", async () => {
    const { exitCode, err } = await pull("--timeout", "300ms");
    expect([exitCode, err]).toEqual([9, expect.stringContaining("The operation goes on")]);
    const { out } = await drover(["operation", "show", await newest(), "--json"]);
    expect(["pending", "running"]).toContain(JSON.parse(out).state);
    await world.settle("pull");
  });

  it("leaves at the second Ctrl-C, and says at the first how to cancel", async () => {
    const left = await drover(["pull", "base:1.0", "--host", host], {
      onListening: (interrupt) => {
        interrupt();
        interrupt();
      },
    });
    expect(left.exitCode).toBe(9);
    expect(left.err).toContain(`drover operation cancel ${await newest()}`);
    await world.settle("pull");
  });

  it("prints the operation with --detach, for `operation wait` to go on with", async () => {
    const { out } = await pull("--detach");
    const running = drover(["operation", "wait", out.trim()]);
    await world.settle("pull");
    expect((await running).exitCode).toBe(0);
  });

  it("goes on waiting while the API is away, and sees the end once it is back", async () => {
    const before = port();
    const running = pull();
    await expect
      .poll(async () => (await listOperations(world.control.db, { verb: "pull" }, { limit: 1 })).items[0]?.state, { timeout: 60_000 })
      .toMatch(/pending|running/);
    await served.close(0);
    await world.settle("pull");
    served = await serve(before);
    expect((await running).exitCode).toBe(0);
  });

  it("shows lists as tables for people and as they are for scripts", async () => {
    const table = await drover(["image", "list"]);
    expect(table.out.split("\n").map((line) => line.split(/ {2,}/).slice(0, 4))).toEqual([
      ["IMAGE", "VERSION", "ARCH", "SIZE"],
      ["base", "1.0", "arm64", "1 GiB"],
      [""],
    ]);
    const [image] = JSON.parse((await drover(["image", "list", "--json"])).out);
    expect(image).toMatchObject({ catalogId: "base", logicalBytes: 1024 ** 3 });
    expect((await drover(["machine", "list"])).out).toBe("No machines.\n");
  });

  it("lists as many as are wanted and no more", async () => {
    const { db } = world.control;
    const before = (await listOperations(db, {}, { limit: 500 })).items.length;
    for (let count = 0; count < 3; count++) {
      await pull("--detach");
      await world.settle("pull");
    }
    const { out } = await drover(["operation", "list", "--limit", String(before + 2), "--json"]);
    expect(JSON.parse(out)).toHaveLength(before + 2);
  });

  it.each([
    [["machine", "show", "nobody"], 4],
    [["image", "show", "nothing:1"], 4],
    [["pull", "base:9.9", "--host", "mac-1"], 4],
    [["pull", "base:1.0", "--host", "mac-9"], 4],
    [["operation", "show", "no-uuid"], 2],
  ])("ends %j with %d", async (args, exitCode) => {
    expect((await drover(args)).exitCode).toBe(exitCode);
  });

  it("tells the hub's fault as JSON with its request where JSON is asked for", async () => {
    const { err } = await drover(["machine", "show", "nobody", "--json"]);
    expect(JSON.parse(err)).toMatchObject({ code: "machine_not_found", remedy: expect.any(String), requestId: expect.any(String) });
  });

  it("says that nobody answers as 8", async () => {
    const { exitCode, err } = await drover(["host", "list"], { env: { DROVER_URL: "http://127.0.0.1:1", DROVER_TOKEN: "a.b.c" } });
    expect([exitCode, err]).toEqual([8, expect.stringContaining("does not answer")]);
  });
});

describe("a login", () => {
  it("is renewed by the command that finds it near its end, and a command beside it uses the new one", async () => {
    const kept = JSON.parse(await readFile(loginFile, "utf8"));
    const soon = new Date(Date.now() + 60_000).toISOString();
    await writeFile(loginFile, JSON.stringify({ ...kept, expiresAt: soon }));
    expect((await drover(["whoami"])).exitCode).toBe(0);
    const renewed = JSON.parse(await readFile(loginFile, "utf8"));
    expect(Date.parse(renewed.expiresAt)).toBeGreaterThan(Date.parse(soon) + 60_000);
    expect(renewed).toMatchObject({ url: kept.url, username: kept.username });
    expect((await drover(["whoami"])).exitCode).toBe(0);
    expect(JSON.parse(await readFile(loginFile, "utf8"))).toEqual(renewed);
  });
});

describe("the audit", () => {
  const json = async (...args: string[]) => {
    const { exitCode: code, out } = await drover([...args, "--json"]);
    return { code, body: JSON.parse(out) };
  };

  it("is listed and proved, and a record that was written down must still be there", async () => {
    for (const subject of ["one", "two"]) await recordAudit(world.control.db, { actor: "root", action: "test", subject, outcome: "done" });
    await relay(world.control.db);
    const { body: records } = await json("audit", "list", "--since", "1h", "--limit", "2");
    expect(records).toHaveLength(2);
    const [{ number, hash }] = records;
    expect((await drover(["audit", "list", "--actor", "nobody"])).out).toBe("No audit records.\n");
    expect(await json("audit", "verify", "--known", `${number}:${hash}`)).toMatchObject({ code: 0, body: { broken: null, known: true } });
    expect(await json("audit", "verify", "--known", `${number}:${"0".repeat(64)}`)).toMatchObject({ code: 6, body: { known: false } });
    expect((await drover(["audit", "list", "--since", "yesterday"])).exitCode).toBe(2);
  });
});
