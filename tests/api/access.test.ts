/** Who may come in, in the statuses and shapes that clients of the Parallels DevOps contract know. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createApp } from "../../api/app.ts";
import { listenForEvents, type Notifications } from "../../api/notifications.ts";
import { relay } from "../../control/relay.ts";
import { openReads } from "../../db/reads.ts";
import { openWorld, rootPassword, type World } from "./world.ts";

let world: World;
let root: string;
let jane: string;
beforeAll(async () => {
  world = await openWorld();
  root = await world.login("root", rootPassword);
  const made = await world.call("POST", "/api/v1/auth/users", {
    token: root,
    body: { username: "jdoe", name: "Jane Doe", email: "jane.doe@example.com", password: "Correct-horse-8!" },
  });
  expect(made.status).toBe(201);
  jane = await world.login("jdoe", "Correct-horse-8!");
});
afterAll(() => world.close());

describe("credentials", () => {
  const machines = (headers: Record<string, string>) => world.call("GET", "/api/v1/machines", { headers });
  const oauth = (description: string) => ({ error: "unauthorized_client", error_description: description });

  it("answers each kind of bad credentials as its clients know it", async () => {
    const key = Buffer.from("nokey:nosecret").toString("base64");
    const table: [Record<string, string>, unknown][] = [
      [{}, oauth("API key must be in format base64(key:secret)")],
      [{ Authorization: "Bearer garbage" }, oauth("error: invalid claims")],
      [{ Authorization: "Basic cm9vdDpyb290" }, null],
      [{ Authorization: `bearer ${root}` }, null],
      [{ "X-Api-Key": key }, oauth("Invalid API key")],
      [{ "X-Api-Key": "%%%" }, oauth("Invalid API key format")],
      [{ Authorization: `Bearer ${root}`, "X-Api-Key": key }, null],
    ];
    for (const [headers, body] of table) expect(await machines(headers)).toMatchObject({ status: 401, body });
  });

  it("names the claim or role that is missing", async () => {
    expect(await world.call("POST", "/api/v1/machines", { token: jane, body: { name: "x" } })).toMatchObject({
      status: 401,
      body: oauth("User does not contain enough permissions for claims (AND), missing [CREATE_VM]"),
    });
    expect((await world.call("PATCH", "/api/v1/catalog/a/1/arm64/taint", { token: jane })).body.error_description).toContain(
      "roles (AND), missing [SUPER_USER]",
    );
    expect(await world.call("POST", "/api/v2/machines", { token: jane, body: {} })).toMatchObject({
      status: 403,
      body: { code: "forbidden" },
    });
    expect(await world.call("GET", "/api/v2/whoami")).toMatchObject({ status: 401, body: { code: "unauthenticated" } });
  });

  it("lets a key act as its user, until it is revoked", async () => {
    const made = await world.call("POST", "/api/v1/auth/api_keys", { token: jane, body: { name: "ci", key: "ci key", secret: "s3cret" } });
    expect(made).toMatchObject({ status: 201, body: { key: "CI_KEY", encoded: Buffer.from("CI_KEY:s3cret").toString("base64") } });
    const headers = { "X-Api-Key": made.body.encoded };
    expect((await world.call("GET", "/api/v1/jobs", { headers })).status).toBe(200);
    expect((await world.call("GET", "/api/v2/whoami", { headers })).body).toMatchObject({ username: "jdoe", apiKeyId: made.body.id });
    const shown = await world.call("GET", "/api/v1/auth/api_keys", { token: jane });
    expect(shown.text).not.toContain("s3cret");
    expect(shown.body[0].encoded).toBeUndefined();
    expect(
      (await world.call("POST", "/api/v1/auth/api_keys", { token: jane, body: { name: "ci", key: "other", secret: "s" } })).status,
    ).toBe(400);
    expect((await world.call("PUT", "/api/v1/auth/api_keys/ci/revoke", { token: root })).status).toBe(202);
    expect((await machines(headers)).body).toEqual(oauth("Api Key has been revoked"));
  });

  it("lets nobody give away what they do not hold", async () => {
    await world.call("POST", "/api/v1/auth/users/jdoe/claims", { token: root, body: { name: "CREATE_USER" } });
    const body = { username: "x", name: "x", email: "x@example.com", password: "Correct-horse-6!" };
    expect((await world.call("POST", "/api/v1/auth/users", { token: jane, body: { ...body, is_super_user: true } })).status).toBe(403);
    expect((await world.call("POST", "/api/v1/auth/users", { token: jane, body: { ...body, claims: ["DELETE_VM"] } })).status).toBe(403);
    expect((await world.call("POST", "/api/v1/auth/users", { token: jane, body: { ...body, password: "short" } })).status).toBe(400);
    expect((await world.call("POST", "/api/v1/auth/users", { token: jane, body: { ...body, roles: ["NOPE"] } })).body.message).toBe(
      "error 400: role NOPE does not exist",
    );
  });

  it("takes rights away at the very next request", async () => {
    await world.call("POST", "/api/v1/auth/users", {
      token: root,
      body: { username: "gone", name: "G", email: "gone@example.com", password: "Correct-horse-5!" },
    });
    const token = await world.login("gone", "Correct-horse-5!");
    expect((await world.call("GET", "/api/v1/machines", { token })).status).toBe(200);
    expect((await world.call("DELETE", "/api/v1/auth/users/gone@example.com", { token: root })).status).toBe(202);
    expect((await world.call("GET", "/api/v1/machines", { token })).status).toBe(401);
  });
});

describe("rights that are changed behind the API's back", () => {
  /** Another API process, which hears of changes by `reads.rights` where somebody tells it. */
  const replica = () => {
    const reads = openReads({ db: world.hub.db, sql: world.sql });
    const app = createApp({ ...world.hub, reads });
    const status = async (headers: Record<string, string>) => (await app.request("/api/v2/machines", { headers })).status;
    return { rights: reads.rights, status };
  };
  const person = async (username: string) => {
    const password = "Correct-horse-4!";
    const body = { username, name: username, email: `${username}@example.com`, password };
    await world.call("POST", "/api/v1/auth/users", { token: root, body });
    await world.sql`update users set claims = '{LIST_VM}', roles = '{}' where username = ${username}`;
    return { Authorization: `Bearer ${await world.login(username, password)}` };
  };

  it("end at the request after they were heard of, whatever was changed", async () => {
    const { sql } = world;
    const { rights, status } = replica();
    const caller = await person("heard");
    const { secret } = (await world.call("POST", "/api/v2/api-keys", { token: root, body: { name: "heard of" } })).body;
    const key = { "X-Api-Key": secret };
    let heard = 0;
    /** It is told once when it begins to listen, and once for each change. */
    const hears = async (change: () => Promise<unknown>): Promise<void> => {
      await change();
      heard += 1;
      while (rights.count() < heard) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    const ears: Notifications[] = [];
    await hears(async () => ears.push(listenForEvents(world.url, rights.tell)));
    expect([await status(caller), await status(key)]).toEqual([200, 200]);
    await hears(() => sql`update users set claims = '{}' where username = 'heard'`);
    expect(await status(caller)).toBe(403);
    await hears(() => sql`insert into roles (id, claims) values ('LISTER', '{LIST_VM}')`);
    await hears(() => sql`update users set roles = '{LISTER}' where username = 'heard'`);
    expect(await status(caller)).toBe(200);
    await hears(() => sql`update roles set claims = '{}' where id = 'LISTER'`);
    expect(await status(caller)).toBe(403);
    await hears(() => sql`delete from users where username = 'heard'`);
    expect(await status(caller)).toBe(401);
    await hears(() => sql`update api_keys set revoked_at = now() where name = 'heard of'`);
    expect(await status(key)).toBe(401);
    expect(rights.count()).toBe(heard);
    for (const one of ears) await one.close();
  });

  it("end within five seconds where nobody hears of it", async () => {
    const { status } = replica();
    const caller = await person("unheard");
    expect(await status(caller)).toBe(200);
    const began = performance.now();
    await world.sql`update users set claims = '{}' where username = 'unheard'`;
    const answers: number[] = [];
    while (answers.at(-1) !== 403) {
      answers.push(await status(caller));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    // Believed until then, and not for much longer: the rest is this computer's.
    expect(answers[0]).toBe(200);
    expect(performance.now() - began).toBeLessThan(8_000);
  });
});

describe("roles and claims", () => {
  const as = (method: string, path: string, body?: unknown, token = root) => world.call(method, `/api/v1/auth${path}`, { token, body });
  it("are made, given, taken and removed", async () => {
    expect(await as("POST", "/claims", { name: "build agent" })).toMatchObject({
      status: 201,
      body: { id: "BUILD_AGENT", name: "BUILD_AGENT", internal: false },
    });
    expect((await as("POST", "/claims", { name: "Build Agent" })).status).toBe(400);
    expect(await as("POST", "/roles", { name: "ci runner", claims: ["LIST_VM", "build agent"] })).toMatchObject({
      status: 201,
      body: { id: "CI_RUNNER" },
    });
    expect((await as("POST", "/roles", { name: "x", claims: ["NOPE"] })).status).toBe(400);
    expect(await as("POST", "/users/jdoe/roles", { name: "ci runner" })).toMatchObject({ status: 201, body: { name: "ci runner" } });
    expect((await as("POST", "/users/jdoe/roles", { name: "ci runner" })).status).toBe(400);
    expect((await as("POST", "/users/jdoe/roles", { name: "nope" })).status).toBe(404);
    expect((await as("GET", "/users/jdoe")).body.effective_claims).toContainEqual({
      id: "BUILD_AGENT",
      name: "BUILD_AGENT",
      is_inherited: true,
      source_role: "CI_RUNNER",
    });
    expect((await as("DELETE", "/roles/ci_runner/claims/build_agent")).status).toBe(202);
    expect((await as("DELETE", "/roles/ci_runner/claims/build_agent")).status).toBe(404);
    expect((await as("DELETE", "/users/jdoe/roles/CI_RUNNER")).status).toBe(202);
    expect((await as("DELETE", "/roles/CI_RUNNER")).status).toBe(202);
    expect((await as("DELETE", "/claims/BUILD_AGENT")).status).toBe(202);
    expect((await as("DELETE", "/claims/LIST_VM")).status).toBe(400);
    expect((await as("DELETE", "/roles/SUPER_USER")).status).toBe(400);
  });
  it("are handed on and never made: nobody lifts itself or takes over who holds more", async () => {
    expect((await as("POST", "/users/jdoe/claims", { name: "UPDATE_USER" })).status).toBe(201);
    expect((await as("POST", "/users/jdoe/roles", { name: "SUPER_USER" }, jane)).status).toBe(403);
    expect((await as("POST", "/users/jdoe/claims", { name: "DELETE_VM" }, jane)).status).toBe(403);
    expect((await as("PUT", "/users/root", { password: "Correct-horse-1!" }, jane)).status).toBe(403);
    expect((await as("PUT", "/users/jdoe", { name: "Jane" }, jane)).status).toBe(202);
    expect((await as("PUT", "/users/jdoe", {}, jane)).status).toBe(400);
  });
});

describe("the audit", () => {
  const audit = async (query: string, token = root) => world.call("GET", `/api/v2/audit?${query}`, { token });

  it("tells who was refused what they wanted to change, with the id of their request, and nothing of what they sent", async () => {
    const refused = await world.call("DELETE", "/api/v1/auth/users/root?secret=canary", { token: jane });
    expect(refused.status).toBe(401);
    await world.call("POST", "/api/v1/machines", { body: { name: "canary" } });
    await relay(world.hub.db);
    const { body } = await audit("outcome=refused&actor=jdoe&limit=1");
    expect(body.items).toMatchObject([
      {
        actor: "jdoe",
        action: "DELETE /api/v1/auth/users/:id",
        subject: "/api/v1/auth/users/root",
        requestId: refused.headers.get("X-Request-Id"),
      },
    ]);
    expect((await audit("outcome=refused&actor=anonymous&limit=1")).body.items).toMatchObject([{ action: "POST /api/v1/machines" }]);
    expect(JSON.stringify((await audit("outcome=refused")).body)).not.toContain("canary");
  });

  it("is not filled by those who have no credentials", async () => {
    const strangers = async () => (await audit("outcome=refused&actor=anonymous&limit=500")).body.items.length;
    for (let n = 0; n < 80; n += 1) await world.call("POST", "/api/v1/machines", { body: {} });
    await relay(world.hub.db);
    expect(await strangers()).toBeLessThanOrEqual(2 * 60);
  });

  it("comes in pages, newest first, and is proved", async () => {
    await relay(world.hub.db);
    const first = (await audit("limit=3")).body;
    const second = (await audit(`limit=3&cursor=${first.nextCursor}`)).body;
    const numbers = [...first.items, ...second.items].map(({ number }: { number: number }) => number);
    expect(numbers).toEqual(Array.from({ length: 6 }, (_, n) => (numbers[0] ?? 0) - n));
    const [{ number, hash }] = first.items;
    const proof = await world.call("GET", `/api/v2/audit/proof?number=${number}&hash=${hash}`, { token: root });
    expect(proof.body).toEqual({ records: number, first: 1, last: number, lastHash: hash, broken: null, known: true });
  });

  it("is read by super users only, and refuses what is no filter of its", async () => {
    expect((await audit("", jane)).status).toBe(403);
    expect((await audit("outcome=perhaps")).status).toBe(400);
    expect((await audit("cursor=x")).status).toBe(400);
  });
});

describe("an API key of ours", () => {
  const call = (method: string, path: string, body?: unknown, token = root) => world.call(method, `/api/v2${path}`, { body, token });
  const byKey = (key: string) => (method: string, path: string, body?: unknown) =>
    world.call(method, path, { body, headers: { "X-Api-Key": key } });
  const tokenOf = async (key: string) => (await world.call("POST", "/api/v1/auth/token", { body: { api_key: key } })).body.token;

  it("is limited to what both it and its user may, whatever it is exchanged for, and makes no freer one", async () => {
    const made = await call("POST", "/api-keys", { name: "narrow", claims: ["list_vm", "CREATE_OWN_API_KEY"] });
    const { secret, claims } = made.body;
    expect([made.status, claims]).toEqual([201, ["LIST_VM", "CREATE_OWN_API_KEY"]]);
    const narrow = byKey(secret);
    expect((await narrow("GET", "/api/v2/whoami")).body).toMatchObject({ username: "root", claims, roles: [], isSuperUser: false });
    expect((await narrow("GET", "/api/v2/audit")).status).toBe(403);
    expect((await call("GET", "/audit", undefined, await tokenOf(secret))).status).toBe(403);
    expect((await narrow("POST", "/api/v2/api-keys", { name: "wide", claims: ["CREATE_VM"] })).status).toBe(403);
    expect((await narrow("POST", "/api/v2/api-keys", { name: "same" })).body.claims).toEqual(claims);
    const wire = await narrow("POST", "/api/v1/auth/api_keys", { name: "wire", key: "WIRE", secret: "of-the-caller-1" });
    expect((await byKey(wire.body.encoded)("GET", "/api/v2/whoami")).body.claims).toEqual(claims);
  });

  it("gives its user nothing that the user does not hold", async () => {
    const body = { username: "mover", name: "M", email: "mover@example.com", password: "Correct-horse-3!" };
    await world.call("POST", "/api/v1/auth/users", { token: root, body });
    const { secret } = (await call("POST", "/api-keys", { name: "more", claims: ["CREATE_USER", "LIST_VM"], user: "mover" })).body;
    expect((await byKey(secret)("GET", "/api/v2/whoami")).body).toMatchObject({ username: "mover", claims: ["LIST_VM"] });
  });

  it("ends when it is revoked or its time is over, with every token that it gave", async () => {
    expect((await call("POST", "/api-keys", { name: "hers" }, jane)).status).toBe(201);
    expect((await call("POST", "/api-keys", { name: "his", user: "root" }, jane)).status).toBe(403);
    expect((await call("POST", "/api-keys", { name: "late", expiresAt: "2020-01-01T00:00:00Z" })).status).toBe(400);
    expect((await call("POST", "/api-keys", { name: "odd", claims: ["NO_SUCH_CLAIM"] })).status).toBe(400);
    expect((await call("POST", "/api-keys", { name: "HERS" })).status).toBe(409);
    const { secret } = (await call("POST", "/api-keys", { name: "brief" })).body;
    expect(Buffer.from(Buffer.from(secret, "base64").toString().split(":")[1] ?? "", "base64url")).toHaveLength(32);
    const token = await tokenOf(secret);
    expect((await call("DELETE", "/api-keys/brief", undefined, jane)).status).toBe(404);
    expect((await call("DELETE", "/api-keys/brief")).status).toBe(204);
    expect((await call("GET", "/whoami", undefined, token)).status).toBe(401);
    expect((await byKey(secret)("GET", "/api/v2/whoami")).status).toBe(401);
    const names = (await call("GET", "/api-keys", undefined, jane)).body.items.map(({ name }: { name: string }) => name);
    expect(names).toEqual(expect.arrayContaining(["hers"]));
    expect(names).not.toContain("brief");
  });
});
