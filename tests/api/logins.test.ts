/** Logging in with a password, and guessing at one: what one of two API processes saw of a guesser, the other knows. */
import { randomUUID } from "node:crypto";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { logins as createLogins } from "../../api/access/login.ts";
import { createApp } from "../../api/app.ts";
import { countTry, dropOldGuesses, forgetGuesses, guessKey, mostGuesses } from "../../db/guesses.ts";
import { unwrap } from "../../domain/errors.ts";
import { passwordHasher } from "../../security/passwords.ts";
import { openWorld, rootPassword, type World } from "./world.ts";

const right = "Correct-horse-7!";
let world: World;
let replicas: readonly [ReturnType<typeof createApp>, ReturnType<typeof createApp>];
let root: string;
beforeAll(async () => {
  world = await openWorld();
  root = await world.login("root", rootPassword);
  const jane = { username: "jdoe", name: "Jane Doe", email: "jane.doe@example.com", password: "Correct-horse-8!" };
  expect((await world.call("POST", "/api/v1/auth/users", { token: root, body: jane })).status).toBe(201);
  replicas = [createApp({ ...world.hub, passwords: passwordHasher() }), createApp({ ...world.hub, passwords: passwordHasher() })];
});
afterAll(() => world?.close());

describe("logging in", () => {
  it.each([[{ email: "root@localhost" }], [{ email: "root", api_key: "" }], [{ username: "ROOT" }], [{ Email: "Root@LocalHost" }]])(
    "takes %j and answers address, token and unix seconds",
    async (who) => {
      const { status, body } = await world.call("POST", "/api/auth/token", { body: { ...who, password: rootPassword } });
      expect(status).toBe(200);
      expect(Object.keys(body)).toEqual(["email", "token", "expires_at"]);
      expect(body.email).toBe("root@localhost");
      expect(body.expires_at).toBeGreaterThan(Date.now() / 1000);
      const payload = JSON.parse(Buffer.from(body.token.split(".")[1], "base64url").toString());
      expect(payload).toMatchObject({ email: "root@localhost", roles: ["SUPER_USER"], exp: body.expires_at });
    },
  );

  it.each([
    [401, { email: "root@localhost", password: "not-the-Passw0rd!" }, "Invalid user or Password"],
    [401, { email: "nobody@example.com", password: "not-the-Passw0rd!" }, "Invalid user or Password"],
    [400, { email: "root@localhost" }, "Invalid request body: error 400: Password is required for email login"],
    [400, { email: "root@localhost", password: "Aa1!".repeat(11) }, "Invalid user or Password"],
    [400, {}, "Invalid request body: error 400: Email or username is required"],
    [400, { api_key: "not base64" }, "Invalid API key format"],
    [401, { api_key: "Tk9LRVk6bm9zZWNyZXQ=" }, "Invalid API key"],
  ])("answers %i to %j", async (status, body, message) => {
    const answer = await world.call("POST", "/api/v1/auth/token", { body });
    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject({
      message,
      code: status,
      diagnostics: { operation: "api error response", errors: [{ code: String(status) }] },
    });
  });

  it.each([
    [200, () => root],
    [400, () => "not.a.token"],
    [400, () => ""],
    [401, () => `${root.slice(0, -4)}AAAA`],
  ])("answers %i when it validates a token", async (status, token) => {
    expect((await world.call("POST", "/api/v1/auth/token/validate", { body: { token: token() } })).status).toBe(status);
  });
});

describe("a login of ours", () => {
  const log = (username: string, password: string) => world.call("POST", "/api/v2/login", { body: { username, password } });
  const renew = (token: string) => world.call("POST", "/api/v2/login/renew", { token });
  const begun = (token: string) => JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()).login.since;

  it("is renewed without a password, and remembers when it began", async () => {
    const first = (await log("jdoe", "Correct-horse-8!")).body;
    const second = await renew(first.token);
    expect(second).toMatchObject({ status: 200, body: { username: "jdoe" } });
    expect(begun(second.body.token)).toBe(begun(first.token));
    expect(new Date(second.body.expiresAt).getTime()).toBeGreaterThanOrEqual(new Date(first.expiresAt).getTime());
    expect((await renew(second.body.token)).status).toBe(200);
  });

  it("is not renewed once its password has changed", async () => {
    const body = { username: "mover", name: "M", email: "mover@example.com", password: "Correct-horse-3!" };
    const { id } = (await world.call("POST", "/api/v1/auth/users", { token: root, body })).body;
    const { token } = (await log("mover", body.password)).body;
    await world.call("PUT", `/api/v1/auth/users/${id}`, { token: root, body: { password: "Correct-horse-2!" } });
    expect(await renew(token)).toMatchObject({ status: 401, body: { message: "The password has changed since." } });
  });

  it("ends when it has lasted as long as it may", async () => {
    const { settings } = world.hub;
    const logins = (loginLimitMs: number) => createLogins({ ...world.hub, settings: { ...settings, loginLimitMs } });
    const { token } = (await log("jdoe", "Correct-horse-8!")).body;
    expect(await logins(0).renew(token)).toMatchObject({ ok: false, fault: { code: "unauthenticated" } });
    const renewed = unwrap(await logins(60_000).renew(token));
    expect(renewed.expiresAt.getTime()).toBeLessThanOrEqual((begun(token) + 60) * 1000);
  });
});

async function addUser(): Promise<string> {
  const username = `user-${randomUUID()}`;
  const body = { username, name: "U", email: `${username}@example.com`, password: right };
  expect((await world.call("POST", "/api/v1/auth/users", { token: root, body })).status).toBe(201);
  return username;
}

async function log(replica: 0 | 1, username: string, password: string) {
  const body = JSON.stringify({ username, password });
  const response = await replicas[replica].request("/api/v2/login", {
    method: "POST",
    body,
    headers: { "Content-Type": "application/json" },
  });
  return { status: response.status, waits: Number(response.headers.get("Retry-After") ?? 0), text: await response.text() };
}
const rows = async () => Number((await world.sql`select count(*) as count from login_guesses`)[0]?.["count"]);

describe("guessing", () => {
  it("counts for all replicas together, and lets a right password in at any", async () => {
    const name = await addUser();
    const statuses: number[] = [];
    for (let tries = 0; tries < 6; tries += 1) statuses.push((await log(tries % 2 === 0 ? 0 : 1, name, "wrong")).status);
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429]);
    expect((await log(1, name, "wrong")).waits).toBeGreaterThan(5);
    expect((await log(0, name, right)).status).toBe(200);
    expect((await log(1, name, "wrong")).status).toBe(401);
  });

  it("gives a burst over both replicas no more tries than one after the other", async () => {
    const name = await addUser();
    const burst = await Promise.all(Array.from({ length: 40 }, (_, index) => log(index % 2 === 0 ? 0 : 1, name, "wrong")));
    expect(burst.filter(({ status }) => status === 401)).toHaveLength(5);
    expect(burst.filter(({ status }) => status === 429)).toHaveLength(35);
    const [row] = await world.sql`select max(count) as count from login_guesses`;
    // Five, three at once while locked, and one for each second that the burst took.
    expect(Number(row?.["count"])).toBeLessThan(20);
  });

  it("answers for a name that nobody has as for one that somebody has, in about the same time", async () => {
    const [known, unknown] = [await addUser(), `user-${randomUUID()}`];
    const answers = async (name: string) => {
      const told: string[] = [];
      const times: number[] = [];
      for (let tries = 0; tries < 6; tries += 1) {
        const began = performance.now();
        const { status, text } = await log(0, name, "wrong");
        times.push(performance.now() - began);
        told.push(`${status} ${text.replace(/"requestId":"[^"]*"/, "").replaceAll(name, "")}`);
      }
      return { told, median: times.toSorted((a, b) => a - b)[3] ?? 0 };
    };
    await log(0, unknown, "warms the decoy");
    await forgetGuesses(world.control.db, guessKey(unknown, "unknown"));
    const [of, ofNobody] = [await answers(known), await answers(unknown)];
    expect(ofNobody.told).toEqual(of.told);
    // A tenth of the time would be an answer without a hash.
    expect(ofNobody.median).toBeGreaterThan(of.median / 3);
    expect(of.median).toBeGreaterThan(ofNobody.median / 3);
  });

  it("counts one address's guesses for no other address", async () => {
    const { db } = world.control;
    const guard = { attempts: 1, lockoutMs: 5_000, incremental: true };
    await countTry(db, guessKey("somebody", "10.0.0.1"), guard);
    expect((await countTry(db, guessKey("somebody", "10.0.0.1"), guard)).lockedMs).toBeGreaterThan(0);
    expect((await countTry(db, guessKey("somebody", "10.0.0.2"), guard)).lockedMs).toBe(0);
  });

  it("keeps no row of whoever is right, nor what was typed, nor old rows, nor more than it may", async () => {
    const name = await addUser();
    await world.sql`delete from login_guesses`;
    for (const replica of [0, 1, 0] as const) expect((await log(replica, name, right)).status).toBe(200);
    expect(await rows()).toBe(0);
    await log(0, "my-password-in-the-wrong-field", "wrong");
    const [row] = await world.sql`select * from login_guesses`;
    expect(JSON.stringify(row)).not.toContain("my-password");
    await world.sql`update login_guesses set failed_at = now() - interval '2 hours'`;
    await dropOldGuesses(world.control.db);
    expect(await rows()).toBe(0);
    await world.control.db.execute(sql`insert into login_guesses (key, failed_at)
    select 'k' || n, now() - n * interval '1 millisecond' from generate_series(1, ${mostGuesses + 500}) n`);
    await log(0, "one more", "wrong");
    expect(await rows()).toBeLessThanOrEqual(mostGuesses + 1);
    await world.sql`delete from login_guesses`;
  });
});
