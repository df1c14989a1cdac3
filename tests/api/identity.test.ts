/** Who comes in by the word of somebody else: people through a provider, pipelines by their platform's token, programs by keys; and everybody who does not. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generateKeyPair, UnsecuredJWT } from "jose";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { serveApi, type Served } from "../../api/serve.ts";
import { relay } from "../../control/relay.ts";
import { listAudit } from "../../db/audit.ts";
import { person, runDrover } from "./command-line.ts";
import { apiAudience, openIssuer, openProvider, type People } from "./provider.ts";
import { openWorld, rootPassword, type World } from "./world.ts";

const people: People = new Map();
let world: World;
let root: string;
let served: Served;
let folder: string;
let sso: Awaited<ReturnType<typeof openProvider>>;
let corp: Awaited<ReturnType<typeof openIssuer>>;
let other: Awaited<ReturnType<typeof openIssuer>>;

const at = () => `http://127.0.0.1:${served.port}`;
const call = (method: string, path: string, body?: unknown, token = root) => world.call(method, `/api/v2${path}`, { body, token });
const whoami = async (token: string) => (await call("GET", "/whoami", undefined, token)).body;
const user = (username: string, more: object = {}) =>
  world.call("POST", "/api/v1/auth/users", {
    token: root,
    body: { username, name: username, email: `${username}@example.com`, password: "Correct-horse-8!", ...more },
  });

beforeAll(async () => {
  world = await openWorld();
  served = await serveApi((request) => world.app.fetch(request), { host: "127.0.0.1", port: 0 });
  folder = await mkdtemp(join(tmpdir(), "drover-identity-"));
  [sso, corp, other] = await Promise.all([openProvider(people), openIssuer(), openIssuer()]);
  root = await world.login("root", rootPassword);
  await Promise.all(["jane", "ci"].map((name) => user(name)));
  const shared = { clientId: "drover", makesUsers: true, bearerAudiences: [apiAudience] };
  const provider = { name: "sso", issuer: sso.issuer, ...shared, groupRoles: { "*": ["USER"], ops: ["ADMIN"] } };
  expect((await call("POST", "/identity/providers", provider)).status).toBe(201);
  const second = { name: "corp", issuer: corp.issuer, ...shared, groupRoles: { staff: ["USER"], chiefs: ["SUPER_USER"] } };
  expect((await call("POST", "/identity/providers", second)).status).toBe(201);
});
afterAll(async () => {
  await Promise.all([served.close(0), sso.close(), corp.close(), other.close()]);
  await world.close();
  await rm(folder, { recursive: true, force: true });
});

/** Runs the command line with a login of its own. */
const drover = (args: readonly string[], env: Record<string, string> = {}, onErr?: (text: string) => void) =>
  runDrover(args, { folder, env, onErr });
const kept = async (config: string) => JSON.parse(await readFile(join(folder, config, "login.json"), "utf8"));

describe("a person", () => {
  const login = async (name: string, config: string, ...more: string[]) => {
    const walker = person(name);
    const env = { DROVER_CONFIG_DIR: join(folder, config), BROWSER: "true" };
    const run = await drover(["login", at(), "--provider", "sso", "--json", ...more], env, walker.follow);
    const page = await walker.page();
    expect(run.exitCode, run.err).toBe(0);
    return { page, ...(await kept(config)) };
  };

  it("logs in with a browser, becomes a user with the roles of its groups, and renews as after a password", async () => {
    people.set("1001", { preferred_username: "ann", email: "ann@example.com", email_verified: true, groups: ["ops"] });
    const { token, username, page } = await login("1001", "ann");
    expect(page).toContain("You can close this window");
    expect(username).toBe("ann");
    expect(await whoami(token)).toMatchObject({ username: "ann", email: "ann@example.com", roles: ["USER", "ADMIN"], isSuperUser: false });
    const renewed = await call("POST", "/login/renew", undefined, token);
    expect(renewed).toMatchObject({ status: 200, body: { username: "ann" } });
    people.set("1001", { preferred_username: "anna", email: "anna@example.com", email_verified: true, groups: [] });
    const again = await login("1001", "ann");
    expect(await whoami(again.token)).toMatchObject({ username: "ann", email: "ann@example.com", roles: ["USER"] });
  });

  it("logs in on any device by a code", async () => {
    people.set("1002", { preferred_username: "bob", email: "bob@example.com", email_verified: false, groups: [] });
    const { token, page } = await login("1002", "bob", "--device");
    expect(page).toMatch(/success/i);
    expect(await whoami(token)).toMatchObject({ username: "bob", email: expect.stringMatching(/@unverified\.invalid$/) });
  });

  it("is told which providers there are, and nothing that only an administrator needs", async () => {
    const { body } = await world.call("GET", "/api/v2/login/providers");
    expect(body.items).toContainEqual({ name: "sso", issuer: sso.issuer, clientId: "drover", scopes: ["openid", "profile", "email"] });
    const { exitCode, err } = await drover(["login", at(), "--provider", "none"]);
    expect([exitCode, err]).toEqual([4, expect.stringContaining("knows no identity provider none, but corp, sso")]);
  });

  it("calls the API with a token that the provider made for it, and not with one for another", async () => {
    await exchange(await idToken({ sub: "bearer", preferred_username: "bea", groups: ["staff"] }));
    expect(await whoami(await corp.mint({ sub: "bearer", aud: apiAudience }, { header: { typ: "at+jwt" } }))).toMatchObject({
      username: "bea",
    });
    for (const claims of [
      { aud: "drover" },
      { aud: "urn:other" },
      {},
      { aud: apiAudience, sub: "stranger" },
      { aud: apiAudience, exp: corp.now() - 60 },
    ])
      expect((await call("GET", "/whoami", undefined, await corp.mint({ sub: "bearer", ...claims }))).status).toBe(401);
  });
});

const idToken = (claims: object, minted = {}) => corp.mint({ aud: "drover", ...claims }, minted);
const exchange = (token: string, provider = "corp") => world.call("POST", "/api/v2/login/provider", { body: { provider, idToken: token } });

describe("an account", () => {
  it("is found by a verified address, and never by one that nobody verified", async () => {
    const jane = { email: "jane@example.com", groups: ["staff"] };
    const unverified = await exchange(await idToken({ sub: "evil", preferred_username: "evil", ...jane, email_verified: "true" }));
    expect(unverified).toMatchObject({ status: 200, body: { username: "evil" } });
    const linked = await exchange(await idToken({ sub: "jane-1", preferred_username: "x", ...jane, email_verified: true }));
    expect(linked).toMatchObject({ status: 200, body: { username: "jane" } });
    const reused = await exchange(await idToken({ sub: "jane-2", preferred_username: "y", ...jane, email_verified: true }));
    expect(reused).toMatchObject({ status: 401, body: { code: "identity_refused" } });
  });

  it.each([
    ["root's address", { email: "root@localhost", email_verified: true, preferred_username: "boss", groups: ["staff"] }],
    ["root's name", { preferred_username: "root", groups: ["chiefs"] }],
    ["another's address as its name", { preferred_username: "ci@example.com", groups: ["staff"] }],
    ["no group that has a role", { preferred_username: "nobody", groups: ["*"] }],
    ["no name", { groups: ["staff"] }],
  ])("is not given to whoever comes with %s", async (_what, claims) => {
    const answer = await exchange(await idToken({ sub: `refused-${crypto.randomUUID()}`, ...claims }));
    expect(answer).toMatchObject({ status: 401, body: { code: "identity_refused" } });
  });

  it("is made once for two first logins at once", async () => {
    const tokens = await Promise.all([1, 2, 3].map(() => idToken({ sub: "twin", preferred_username: "twin", groups: ["staff"] })));
    expect((await Promise.all(tokens.map((token) => exchange(token)))).map(({ body }) => body.username)).toEqual(["twin", "twin", "twin"]);
  });

  it("loses its login and the roles of its groups with the provider, and is the same person when that comes back", async () => {
    const { token } = (await exchange(await idToken({ sub: "leaver", preferred_username: "lea", groups: ["staff"] }))).body;
    const { body: provider } = await call("GET", "/identity/providers/corp");
    expect((await call("DELETE", "/identity/providers/corp")).status).toBe(204);
    expect(await call("POST", "/login/renew", undefined, token)).toMatchObject({ status: 401 });
    expect((await whoami(token)).roles).toEqual([]);
    const { id: _, createdAt: __, updatedAt: ___, ...again } = provider;
    expect((await call("POST", "/identity/providers", again)).status).toBe(201);
    const back = await exchange(await idToken({ sub: "leaver", preferred_username: "other", groups: ["staff"] }));
    expect(await whoami(back.body.token)).toMatchObject({ username: "lea", roles: ["USER"] });
  });
});

describe("a pipeline", () => {
  const claims = { sub: "repo:acme/app:ref:refs/heads/main", aud: "hub", repository: "acme/app", ref: "refs/heads/main" };
  const rule = (more: object = {}) => ({ issuer: other.issuer, audience: "hub", user: "ci", lifetimeSeconds: 300, ...more });
  const enter = (token: string) => world.call("POST", "/api/v2/login/workload", { body: { token } });
  beforeAll(async () => {
    const made = await call(
      "POST",
      "/identity/rules",
      rule({ name: "deploy", conditions: { repository: "acme/app", ref: "refs/heads/*" } }),
    );
    expect(made).toMatchObject({ status: 201, body: { username: "ci", lifetimeSeconds: 300 } });
  });

  it("exchanges its token once for a short login as the rule's user, which is not renewed", async () => {
    const token = await other.mint(claims);
    const answers = await Promise.all([1, 2, 3].map(() => enter(token)));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 401, 401]);
    const { body } = answers.find(({ status }) => status === 200) ?? { body: {} };
    expect(new Date(body.expiresAt).getTime()).toBeLessThanOrEqual(Date.now() + 300_000);
    expect(await whoami(body.token)).toMatchObject({ username: "ci" });
    expect((await call("POST", "/login/renew", undefined, body.token)).status).toBe(401);
  });

  it.each<[string, () => Promise<string>]>([
    ["another repository", () => other.mint({ ...claims, repository: "evil/app" })],
    ["another branch", () => other.mint({ ...claims, ref: "refs/heads/a/b" })],
    ["another audience", () => other.mint({ ...claims, aud: "else" })],
    ["an issuer without rules", () => corp.mint(claims)],
    ["an issuer that it only claims", () => corp.mint({ ...claims, iss: other.issuer })],
    ["no jti", () => other.mint({ ...claims, jti: undefined })],
    ["a token that has ended", () => other.mint({ ...claims, exp: other.now() - 60 })],
  ])("with %s is refused", async (_what, mint) =>
    expect(await enter(await mint())).toMatchObject({ status: 401, body: { code: "identity_refused" } }),
  );

  it("that is refused is named in the audit, and its token is not", async () => {
    const token = await other.mint({ ...claims, sub: "repo:evil/app", repository: "evil/app" });
    await enter(token);
    await enter(`${token}x`);
    await relay(world.hub.db);
    const { items } = await listAudit(world.hub.db, { outcome: "refused" }, { limit: 200 });
    expect(items.map(({ subject }) => subject)).toEqual(expect.arrayContaining(["repo:evil/app", "unverified: repo:evil/app"]));
    expect(JSON.stringify(items) + world.lines.join("")).not.toContain(token.split(".")[2]);
  });

  it("loses its login with its rule", async () => {
    const named = { name: "short", conditions: { repository: "acme/short" } };
    await call("POST", "/identity/rules", rule(named));
    const { token } = (await enter(await other.mint({ ...claims, repository: "acme/short" }))).body;
    expect((await whoami(token)).username).toBe("ci");
    expect((await call("DELETE", "/identity/rules/short")).status).toBe(204);
    expect((await call("GET", "/whoami", undefined, token)).status).toBe(401);
  });

  it("is never let in by a rule that anybody's workflow would fit", async () => {
    const github = { name: "all", issuer: "https://token.actions.githubusercontent.com", conditions: { ref: "refs/heads/main" } };
    const answer = await call("POST", "/identity/rules", rule(github));
    expect(answer).toMatchObject({ status: 400, body: { message: expect.stringContaining("anybody's workflow would match") } });
  });

  it("logs in on the command line with what GitHub Actions gives it, and an administrator sees why another would not", async () => {
    const platform = createServer((request, response) => {
      const audience = new URL(request.url ?? "", at()).searchParams.get("audience") ?? "";
      const allowed = request.headers.authorization === "Bearer of-the-job";
      void other.mint({ ...claims, aud: audience }).then((value) => response.writeHead(allowed ? 200 : 401).end(JSON.stringify({ value })));
    });
    await new Promise<void>((resolve) => platform.listen(0, "127.0.0.1", resolve));
    const env = {
      ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${(platform.address() as AddressInfo).port}/?api-version=2`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "of-the-job",
    };
    const asRoot = { DROVER_URL: at(), DROVER_TOKEN: root };
    const added = await drover(
      ["identity", "rule", "add", "cli", "--issuer", other.issuer, "--as", "ci", "--claim", "repository=acme/app"],
      asRoot,
    );
    expect(added.exitCode, added.err).toBe(0);
    const run = await drover(["login", at(), "--workload"], { ...env, DROVER_CONFIG_DIR: join(folder, "pipeline") });
    platform.close();
    expect(run.exitCode, run.err).toBe(0);
    expect(await kept("pipeline")).toMatchObject({ username: "ci", renewable: false });
    await writeFile(join(folder, "token"), await other.mint({ ...claims, ref: "refs/tags/1" }));
    const tried = await drover(["identity", "rule", "test", "--token-file", "token", "--json"], asRoot);
    expect(tried.exitCode).toBe(6);
    expect(tried.json().rules[0]).toEqual({ name: "deploy", fits: false, reasons: ["ref is refs/tags/1, not refs/heads/*"] });
  });
});

describe("a token of somebody else", () => {
  const good = { sub: "forger", preferred_username: "forger", groups: ["staff"] };
  const publicBytes = () => Buffer.from(JSON.stringify(corp.publicJwk));

  it.each<[string, () => Promise<string>]>([
    ["for another client", () => idToken({ ...good, aud: "someone-else" })],
    ["for several, given to another", () => idToken({ ...good, aud: ["drover", "x"], azp: "x" })],
    ["for several, given to nobody knows whom", () => idToken({ ...good, aud: ["drover", "x"] })],
    ["of another issuer", () => idToken({ ...good, iss: "https://id.example.com" })],
    ["of another issuer that we know, under its own key", () => other.mint({ ...good, aud: "drover" })],
    ["signed by another key under a good key's name", async () => idToken(good, { key: (await generateKeyPair("ES256")).privateKey })],
    [
      "without a signature",
      async () => new UnsecuredJWT({ ...good, iss: corp.issuer, aud: "drover" }).setIssuedAt().setExpirationTime("5m").encode(),
    ],
    ["signed with the public key as a secret", () => idToken(good, { header: { alg: "HS256" }, key: publicBytes() })],
    ["that has ended", () => idToken({ ...good, iat: corp.now() - 200, exp: corp.now() - 60 })],
    ["without an end", () => idToken({ ...good, exp: undefined })],
    ["that is old", () => idToken({ ...good, iat: corp.now() - 400 })],
    ["that is an access token", () => idToken(good, { header: { typ: "at+jwt" } })],
    ["that tells of a logout", () => idToken({ ...good, events: {} })],
    ["without a subject", () => idToken({ ...good, sub: undefined })],
    ["that was edited", async () => (await idToken(good)).replace(/\.[^.]+\./, (part) => `.${part.slice(1, -3)}AA.`)],
  ])("%s is no login", async (_what, forge) => {
    expect(await exchange(await forge())).toMatchObject({ status: 401, body: { code: "identity_refused" } });
    expect((await exchange(await idToken(good))).status).toBe(200);
  });

  it("is good for one login, also when it comes five times at once", async () => {
    const token = await idToken(good);
    const answers = await Promise.all([1, 2, 3, 4, 5].map(() => exchange(token)));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 401, 401, 401, 401]);
  });

  it("makes us ask its issuer for keys no more often, whatever key it names", async () => {
    const before = corp.asked();
    const tokens = await Promise.all(Array.from({ length: 30 }, (_, i) => idToken(good, { header: { kid: `unknown-${i}` } })));
    for (const token of tokens) expect((await exchange(token)).status).toBe(401);
    expect(corp.asked() - before).toBeLessThanOrEqual(1);
  });
});

describe("a provider", () => {
  it("is added only when it answers for its issuer, and its mistakes are named", async () => {
    const wanted = { name: "new", issuer: `${corp.issuer}/`, clientId: "x" };
    expect(await call("POST", "/identity/providers", wanted)).toMatchObject({ status: 400, body: { code: "identity_provider_invalid" } });
    const gone = await openIssuer();
    await gone.close();
    const away = await call("POST", "/identity/providers", { ...wanted, issuer: gone.issuer });
    expect(away).toMatchObject({ status: 503, body: { code: "identity_provider_unreachable" } });
    for (const [change, says] of [
      [{ issuer: "http://id.example.com" }, "issuer: must be an https address"],
      [{ groupRoles: { a: ["NONE"] } }, "there is no role NONE"],
      [{ bearerAudiences: ["x"] }, "must not contain the client id"],
    ] as const)
      expect(await call("POST", "/identity/providers", { ...wanted, ...change })).toMatchObject({
        status: 400,
        body: { message: expect.stringContaining(says) },
      });
  });

  it("is listed, tested and changed on the command line, by super users only", async () => {
    const env = { DROVER_URL: at(), DROVER_TOKEN: root };
    expect((await drover(["identity", "provider", "list"], env)).out).toContain(sso.issuer);
    const report = (await drover(["identity", "provider", "test", "sso", "--json"], env)).json();
    expect(report).toMatchObject({ keys: 1, algorithms: ["RS256"], remarks: [], deviceEndpoint: expect.any(String) });
    const edit = await drover(["identity", "provider", "edit", "sso", "--role", "cn=a,dc=b=admin,user", "--json"], env);
    expect(edit.json().groupRoles).toEqual({ "cn=a,dc=b": ["ADMIN", "USER"] });
    const jane = await world.login("jane", "Correct-horse-8!");
    expect((await drover(["identity", "provider", "list"], { ...env, DROVER_TOKEN: jane })).exitCode).toBe(3);
  });
});
