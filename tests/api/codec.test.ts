/** Guarantees of the codec endpoint: decoded payloads for those allowed, by address, token or session, and for nobody else. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, it } from "vitest";
import { serveApi } from "../../api/serve.ts";
import { temporalBinary } from "../../deploy/toolchain/temporal.ts";
import { addHost, addImage, addStore } from "../control/hub.ts";
import { openWorld, rootPassword, type World } from "./world.ts";

const ui = "http://127.0.0.1:8233";
const path = "an-unguessable-path";
let world: World;
let root: string;
let encoded: { payloads: object[] };
const plain = { metadata: { encoding: Buffer.from("json/plain").toString("base64") }, data: Buffer.from('"x"').toString("base64") };

const post = (where: string, body: unknown, headers: Record<string, string> = {}) => world.call("POST", where, { body, headers });
const decode = (where: string, headers: Record<string, string> = {}) => post(`/codec/${where}/decode`, encoded, headers);
const form = { "Content-Type": "application/x-www-form-urlencoded", Origin: "http://localhost", Host: "localhost" };
const logIn = (username: string, password: string, headers: Record<string, string> = {}) =>
  post("/codec/session", String(new URLSearchParams({ username, password })), { ...form, ...headers });

beforeAll(async () => {
  world = await openWorld();
  root = await world.login("root", rootPassword);
  encoded = (await post(`/codec/${path}/encode`, { payloads: [plain] })).body;
  expect(JSON.stringify(encoded)).not.toContain(plain.data);
});
afterAll(() => world.close());

it("decodes for whoever knows the address, or has a super user's token, and for nobody else", async () => {
  expect((await decode(path)).body.payloads[0].data).toBe(plain.data);
  expect((await decode("another-path")).status).toBe(401);
  expect((await decode("another-path", { Authorization: `Bearer ${root}` })).status).toBe(200);
  expect((await post(`/codec/${path}/decode`, "garbage")).status).toBe(400);
});

it("lets the web UI's origin, and no other, ask from a browser, with its cookie", async () => {
  const ask = { "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-namespace" };
  const from = (Origin: string) => world.call("OPTIONS", "/codec/session/decode", { headers: { Origin, ...ask } });
  const [own, other] = [await from(ui), await from("http://127.0.0.1:9999")];
  expect(own.headers.get("Access-Control-Allow-Origin")).toBe(ui);
  expect(own.headers.get("Access-Control-Allow-Credentials")).toBe("true");
  expect(own.headers.get("Access-Control-Allow-Headers")?.toLowerCase()).toContain("x-namespace");
  expect(other.headers.get("Access-Control-Allow-Origin")).toBeNull();
});

describe("a session", () => {
  const cookieOf = (headers: Headers) => headers.get("Set-Cookie") ?? "";
  const pair = (cookie: string) => cookie.split(";")[0] ?? "";

  it("opens the codec to pages of the web UI while its super user is one, and opens nothing else", async () => {
    expect((await world.call("GET", "/codec/session")).text).toContain("<form");
    const said = await logIn("root", rootPassword);
    expect(said.status).toBe(200);
    const cookie = cookieOf(said.headers);
    expect(cookie).toMatch(/Path=\/codec; HttpOnly; SameSite=Strict$/);
    expect(cookieOf((await logIn("root", rootPassword, { "X-Forwarded-Proto": "https" })).headers)).toContain("Secure");
    const Cookie = pair(cookie);
    expect((await decode("session", { Cookie, Origin: ui })).body.payloads[0].data).toBe(plain.data);
    expect((await decode("session", { Cookie })).status).toBe(401);
    expect((await decode("session", { Cookie, Origin: "http://127.0.0.1:9999" })).status).toBe(401);
    expect((await decode("session", { Cookie: `${Cookie.slice(0, -4)}AAAA`, Origin: ui })).status).toBe(401);
    const token = Cookie.split("=")[1] ?? "";
    expect((await world.call("GET", "/api/v2/operations", { token })).status).toBe(401);
    expect((await world.call("GET", "/api/v2/operations", { headers: { Cookie } })).status).toBe(401);
  });

  it("is made by the login's own page only, and for super users only", async () => {
    const user = { username: "jdoe", name: "J", email: "j@example.com", password: "Correct-horse-8!" };
    await world.call("POST", "/api/v1/auth/users", { token: root, body: user });
    const answers = [await logIn("jdoe", user.password), await logIn("root", "wrong"), await logIn("root", rootPassword, { Origin: ui })];
    expect(answers.map(({ status }) => status)).toEqual([403, 401, 403]);
    for (const { headers } of answers) expect(cookieOf(headers)).toBe("");
  });
});

it("makes a history readable to the stock `temporal` command with a super user's token", async () => {
  await addHost(world);
  await addImage(world, await addStore(world), "golden");
  const body = { name: "readable", image: { catalogId: "golden" } };
  const { workflowId } = (await world.call("POST", "/api/v2/machines", { token: root, body })).body.operation;
  const served = await serveApi((request, connection) => world.app.fetch(request, connection), { host: "127.0.0.1", port: 0 });
  try {
    const where = ["--address", inject("temporalAddress"), "--namespace", world.namespace, "--disable-config-file", "--output", "json"];
    const input = async (...more: string[]) => {
      const words = ["workflow", "show", "--workflow-id", workflowId, ...where, ...more];
      const { events } = JSON.parse((await promisify(execFile)(await temporalBinary(), words)).stdout);
      return Buffer.from(events[0].workflowExecutionStartedEventAttributes.input.payloads[0].data, "base64").toString();
    };
    const endpoint = ["--codec-endpoint", `http://127.0.0.1:${served.port}/codec/session`];
    expect(await input()).not.toContain("interfaceVersion");
    expect(await input(...endpoint, "--codec-auth", `Bearer ${root}`)).toContain('"interfaceVersion":1');
  } finally {
    await served.close(0);
  }
}, 180_000);
