/** Pipelines that come in with a token of their platform, by rules on what it says. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { relay } from "../../control/relay.ts";
import { listAudit } from "../../db/audit.ts";
import { openIdentity, type Identity } from "./identity-world.ts";

let id: Identity;
beforeAll(async () => {
  id = await openIdentity();
});
afterAll(() => id?.close());

describe("a pipeline", () => {
  const claims = { sub: "repo:acme/app:ref:refs/heads/main", aud: "hub", repository: "acme/app", ref: "refs/heads/main" };
  const rule = (more: object = {}) => ({ issuer: id.other.issuer, audience: "hub", user: "ci", lifetimeSeconds: 300, ...more });
  const enter = (token: string) => id.world.call("POST", "/api/v2/login/workload", { body: { token } });
  beforeAll(async () => {
    const made = await id.call(
      "POST",
      "/identity/rules",
      rule({ name: "deploy", conditions: { repository: "acme/app", ref: "refs/heads/*" } }),
    );
    expect(made).toMatchObject({ status: 201, body: { username: "ci", lifetimeSeconds: 300 } });
  });

  it("exchanges its token once for a short login as the rule's user, which is not renewed", async () => {
    const token = await id.other.mint(claims);
    const answers = await Promise.all([1, 2, 3].map(() => enter(token)));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 401, 401]);
    const { body } = answers.find(({ status }) => status === 200) ?? { body: {} };
    expect(new Date(body.expiresAt).getTime()).toBeLessThanOrEqual(Date.now() + 300_000);
    expect(await id.whoami(body.token)).toMatchObject({ username: "ci" });
    expect((await id.call("POST", "/login/renew", undefined, body.token)).status).toBe(401);
  });

  it.each<[string, () => Promise<string>]>([
    ["another repository", () => id.other.mint({ ...claims, repository: "evil/app" })],
    ["another branch", () => id.other.mint({ ...claims, ref: "refs/heads/a/b" })],
    ["another audience", () => id.other.mint({ ...claims, aud: "else" })],
    ["an issuer without rules", () => id.corp.mint(claims)],
    ["an issuer that it only claims", () => id.corp.mint({ ...claims, iss: id.other.issuer })],
    ["no jti", () => id.other.mint({ ...claims, jti: undefined })],
    ["a token that has ended", () => id.other.mint({ ...claims, exp: id.other.now() - 60 })],
  ])("with %s is refused", async (_what, mint) =>
    expect(await enter(await mint())).toMatchObject({ status: 401, body: { code: "identity_refused" } }),
  );

  it("that is refused is named in the audit, and its token is not", async () => {
    const token = await id.other.mint({ ...claims, sub: "repo:evil/app", repository: "evil/app" });
    await enter(token);
    await enter(`${token}x`);
    await relay(id.world.hub.db);
    const { items } = await listAudit(id.world.hub.db, { outcome: "refused" }, { limit: 200 });
    expect(items.map(({ subject }) => subject)).toEqual(expect.arrayContaining(["repo:evil/app", "unverified: repo:evil/app"]));
    expect(JSON.stringify(items) + id.world.lines.join("")).not.toContain(token.split(".")[2]);
  });

  it("loses its login with its rule", async () => {
    const named = { name: "short", conditions: { repository: "acme/short" } };
    await id.call("POST", "/identity/rules", rule(named));
    const { token } = (await enter(await id.other.mint({ ...claims, repository: "acme/short" }))).body;
    expect((await id.whoami(token)).username).toBe("ci");
    expect((await id.call("DELETE", "/identity/rules/short")).status).toBe(204);
    expect((await id.call("GET", "/whoami", undefined, token)).status).toBe(401);
  });

  it("is never let in by a rule that anybody's workflow would fit", async () => {
    const github = { name: "all", issuer: "https://token.actions.githubusercontent.com", conditions: { ref: "refs/heads/main" } };
    const answer = await id.call("POST", "/identity/rules", rule(github));
    expect(answer).toMatchObject({ status: 400, body: { message: expect.stringContaining("anybody's workflow would match") } });
  });

  it("logs in on the command line with what GitHub Actions gives it, and an administrator sees why another would not", async () => {
    const platform = createServer((request, response) => {
      const audience = new URL(request.url ?? "", id.at).searchParams.get("audience") ?? "";
      const allowed = request.headers.authorization === "Bearer of-the-job";
      void id.other
        .mint({ ...claims, aud: audience })
        .then((value) => response.writeHead(allowed ? 200 : 401).end(JSON.stringify({ value })));
    });
    await new Promise<void>((resolve) => platform.listen(0, "127.0.0.1", resolve));
    const env = {
      ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${(platform.address() as AddressInfo).port}/?api-version=2`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: "of-the-job",
    };
    const asRoot = { DROVER_URL: id.at, DROVER_TOKEN: id.root };
    const added = await id.drover(
      ["identity", "rule", "add", "cli", "--issuer", id.other.issuer, "--as", "ci", "--claim", "repository=acme/app"],
      asRoot,
    );
    expect(added.exitCode, added.err).toBe(0);
    const run = await id.drover(["login", id.at, "--workload"], { ...env, DROVER_CONFIG_DIR: join(id.folder, "pipeline") });
    platform.close();
    expect(run.exitCode, run.err).toBe(0);
    expect(await id.kept("pipeline")).toMatchObject({ username: "ci", renewable: false });
    await writeFile(join(id.folder, "token"), await id.other.mint({ ...claims, ref: "refs/tags/1" }));
    const tried = await id.drover(["identity", "rule", "test", "--token-file", "token", "--json"], asRoot);
    expect(tried.exitCode).toBe(6);
    expect(tried.json().rules[0]).toEqual({ name: "deploy", fits: false, reasons: ["ref is refs/tags/1, not refs/heads/*"] });
  });
});
