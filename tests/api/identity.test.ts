/** People of identity providers: how they come in, who they then are, and which of their tokens are refused. */
import { generateKeyPair, UnsecuredJWT } from "jose";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { person } from "./person.ts";
import { openIdentity, type Identity } from "./identity-world.ts";
import { apiAudience, openIssuer, openProvider, type People } from "./provider.ts";

const people: People = new Map();
let id: Identity;
let sso: Awaited<ReturnType<typeof openProvider>>;
beforeAll(async () => {
  id = await openIdentity();
  sso = await openProvider(people);
  const shared = { clientId: "drover", makesUsers: true, bearerAudiences: [apiAudience] };
  const provider = { name: "sso", issuer: sso.issuer, ...shared, groupRoles: { "*": ["USER"], ops: ["ADMIN"] } };
  expect((await id.call("POST", "/identity/providers", provider)).status).toBe(201);
  const second = { name: "corp", issuer: id.corp.issuer, ...shared, groupRoles: { staff: ["USER"], chiefs: ["SUPER_USER"] } };
  expect((await id.call("POST", "/identity/providers", second)).status).toBe(201);
});
afterAll(async () => {
  await sso?.close();
  await id?.close();
});

describe("a person", () => {
  const login = async (name: string, config: string, ...more: string[]) => {
    const walker = person(name);
    const env = { DROVER_CONFIG_DIR: join(id.folder, config), BROWSER: "true" };
    const run = await id.drover(["login", id.at, "--provider", "sso", "--json", ...more], env, walker.follow);
    const page = await walker.page();
    expect(run.exitCode, run.err).toBe(0);
    return { page, ...(await id.kept(config)) };
  };

  it("logs in with a browser, becomes a user with the roles of its groups, and renews as after a password", async () => {
    people.set("1001", { preferred_username: "ann", email: "ann@example.com", email_verified: true, groups: ["ops"] });
    const { token, username, page } = await login("1001", "ann");
    expect(page).toContain("You can close this window");
    expect(username).toBe("ann");
    expect(await id.whoami(token)).toMatchObject({
      username: "ann",
      email: "ann@example.com",
      roles: ["USER", "ADMIN"],
      isSuperUser: false,
    });
    const renewed = await id.call("POST", "/login/renew", undefined, token);
    expect(renewed).toMatchObject({ status: 200, body: { username: "ann" } });
    people.set("1001", { preferred_username: "anna", email: "anna@example.com", email_verified: true, groups: [] });
    const again = await login("1001", "ann");
    expect(await id.whoami(again.token)).toMatchObject({ username: "ann", email: "ann@example.com", roles: ["USER"] });
  });

  it("logs in on any device by a code", async () => {
    people.set("1002", { preferred_username: "bob", email: "bob@example.com", email_verified: false, groups: [] });
    const { token, page } = await login("1002", "bob", "--device");
    expect(page).toMatch(/success/i);
    expect(await id.whoami(token)).toMatchObject({ username: "bob", email: expect.stringMatching(/@unverified\.invalid$/) });
  });

  it("is told which providers there are, and nothing that only an administrator needs", async () => {
    const { body } = await id.world.call("GET", "/api/v2/login/providers");
    expect(body.items).toContainEqual({ name: "sso", issuer: sso.issuer, clientId: "drover", scopes: ["openid", "profile", "email"] });
    const { exitCode, err } = await id.drover(["login", id.at, "--provider", "none"]);
    expect([exitCode, err]).toEqual([4, expect.stringContaining("knows no identity provider none, but corp, sso")]);
  });

  it("calls the API with a token that the provider made for it, and not with one for another", async () => {
    await exchange(await idToken({ sub: "bearer", preferred_username: "bea", groups: ["staff"] }));
    expect(await id.whoami(await id.corp.mint({ sub: "bearer", aud: apiAudience }, { header: { typ: "at+jwt" } }))).toMatchObject({
      username: "bea",
    });
    for (const claims of [
      { aud: "drover" },
      { aud: "urn:other" },
      {},
      { aud: apiAudience, sub: "stranger" },
      { aud: apiAudience, exp: id.corp.now() - 60 },
    ])
      expect((await id.call("GET", "/whoami", undefined, await id.corp.mint({ sub: "bearer", ...claims }))).status).toBe(401);
  });
});

const idToken = (claims: object, minted = {}) => id.corp.mint({ aud: "drover", ...claims }, minted);
const exchange = (token: string, provider = "corp") =>
  id.world.call("POST", "/api/v2/login/provider", { body: { provider, idToken: token } });

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
    const { body: provider } = await id.call("GET", "/identity/providers/corp");
    expect((await id.call("DELETE", "/identity/providers/corp")).status).toBe(204);
    expect(await id.call("POST", "/login/renew", undefined, token)).toMatchObject({ status: 401 });
    expect((await id.whoami(token)).roles).toEqual([]);
    const { id: _, createdAt: __, updatedAt: ___, ...again } = provider;
    expect((await id.call("POST", "/identity/providers", again)).status).toBe(201);
    const back = await exchange(await idToken({ sub: "leaver", preferred_username: "other", groups: ["staff"] }));
    expect(await id.whoami(back.body.token)).toMatchObject({ username: "lea", roles: ["USER"] });
  });
});

describe("a token of somebody else", () => {
  const good = { sub: "forger", preferred_username: "forger", groups: ["staff"] };
  const publicBytes = () => Buffer.from(JSON.stringify(id.corp.publicJwk));

  it.each<[string, () => Promise<string>]>([
    ["for another client", () => idToken({ ...good, aud: "someone-else" })],
    ["for several, given to another", () => idToken({ ...good, aud: ["drover", "x"], azp: "x" })],
    ["for several, given to nobody knows whom", () => idToken({ ...good, aud: ["drover", "x"] })],
    ["of another issuer", () => idToken({ ...good, iss: "https://id.example.com" })],
    ["of another issuer that we know, under its own key", () => id.other.mint({ ...good, aud: "drover" })],
    ["signed by another key under a good key's name", async () => idToken(good, { key: (await generateKeyPair("ES256")).privateKey })],
    [
      "without a signature",
      async () => new UnsecuredJWT({ ...good, iss: id.corp.issuer, aud: "drover" }).setIssuedAt().setExpirationTime("5m").encode(),
    ],
    ["signed with the public key as a secret", () => idToken(good, { header: { alg: "HS256" }, key: publicBytes() })],
    ["that has ended", () => idToken({ ...good, iat: id.corp.now() - 200, exp: id.corp.now() - 60 })],
    ["without an end", () => idToken({ ...good, exp: undefined })],
    ["that is old", () => idToken({ ...good, iat: id.corp.now() - 400 })],
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
    const before = id.corp.asked();
    const tokens = await Promise.all(Array.from({ length: 30 }, (_, i) => idToken(good, { header: { kid: `unknown-${i}` } })));
    for (const token of tokens) expect((await exchange(token)).status).toBe(401);
    expect(id.corp.asked() - before).toBeLessThanOrEqual(1);
  });
});

describe("a provider", () => {
  it("is added only when it answers for its issuer, and its mistakes are named", async () => {
    const wanted = { name: "new", issuer: `${id.corp.issuer}/`, clientId: "x" };
    expect(await id.call("POST", "/identity/providers", wanted)).toMatchObject({
      status: 400,
      body: { code: "identity_provider_invalid" },
    });
    const gone = await openIssuer();
    await gone.close();
    const away = await id.call("POST", "/identity/providers", { ...wanted, issuer: gone.issuer });
    expect(away).toMatchObject({ status: 503, body: { code: "identity_provider_unreachable" } });
    for (const [change, says] of [
      [{ issuer: "http://id.example.com" }, "issuer: must be an https address"],
      [{ groupRoles: { a: ["NONE"] } }, "there is no role NONE"],
      [{ bearerAudiences: ["x"] }, "must not contain the client id"],
    ] as const)
      expect(await id.call("POST", "/identity/providers", { ...wanted, ...change })).toMatchObject({
        status: 400,
        body: { message: expect.stringContaining(says) },
      });
  });

  it("is listed, tested and changed on the command line, by super users only", async () => {
    const env = { DROVER_URL: id.at, DROVER_TOKEN: id.root };
    expect((await id.drover(["identity", "provider", "list"], env)).out).toContain(sso.issuer);
    const report = (await id.drover(["identity", "provider", "test", "sso", "--json"], env)).json();
    expect(report).toMatchObject({ keys: 1, algorithms: ["RS256"], remarks: [], deviceEndpoint: expect.any(String) });
    const edit = await id.drover(["identity", "provider", "edit", "sso", "--role", "cn=a,dc=b=admin,user", "--json"], env);
    expect(edit.json().groupRoles).toEqual({ "cn=a,dc=b": ["ADMIN", "USER"] });
    const jane = await id.world.login("jane", "Correct-horse-8!");
    expect((await id.drover(["identity", "provider", "list"], { ...env, DROVER_TOKEN: jane })).exitCode).toBe(3);
  });
});
