/** Which workloads a rule lets in, and which rules would let in everybody. */
import { describe, expect, it } from "vitest";
import { NewIdentityProvider, NewIdentityRule } from "./identity.ts";
import { isSafeIssuer } from "./issuers.ts";
import { closest, matches, misfits, ruleFaults } from "./workload.ts";

const github = "https://token.actions.githubusercontent.com";

describe("a pattern", () => {
  it.each([
    ["refs/heads/main", "refs/heads/main", true],
    ["refs/heads/main", "refs/heads/main2", false],
    ["refs/heads/release-*", "refs/heads/release-1", true],
    ["refs/heads/release-*", "refs/heads/release-", true],
    ["refs/heads/*", "refs/heads/a/b", false],
    ["refs/heads/**", "refs/heads/a/b", true],
    ["repo:acme/*:environment:production", "repo:acme/app:environment:production", true],
    ["repo:acme/*:environment:production", "repo:acme/app:ref:refs/heads/x:environment:production", false],
    ["*", "", true],
    ["a.c", "abc", false],
    ["***", "a/b", true],
  ])("%s and %s: %s", (pattern, value, fits) => expect(matches(pattern, value)).toBe(fits));

  it("takes no longer for a pattern that was made to be slow", () => {
    const began = performance.now();
    expect(matches(`${"*a".repeat(120)}b`, "a".repeat(4000))).toBe(false);
    expect(performance.now() - began).toBeLessThan(5_000);
  });
});

describe("a rule", () => {
  it.each([[{}], [{ ref: "refs/heads/main" }], [{ repository: "acme/*" }], [{ repository_owner: "*" }], [{ sub: "repo:acme/app:ref:x" }]])(
    "for GitHub that does not say whose workflow it means is refused: %j",
    (conditions) => expect(ruleFaults({ issuer: github, conditions }).join()).toMatch(/repository or repository_owner .* exact value/),
  );
  it.each([[{ repository: "acme/app" }], [{ repository_owner: "acme", ref: "refs/heads/*" }], [{ repository_id: "123" }]])(
    "for GitHub that says it is taken: %j",
    (conditions) => expect(ruleFaults({ issuer: github, conditions })).toEqual([]),
  );
  it("is held to the same for a GitHub of one's own, an enterprise's issuer and gitlab.com", () => {
    const conditions = { ref: "main" };
    for (const issuer of ["https://git.example.com/_services/token", `${github}/acme`, "https://gitlab.com"])
      expect(ruleFaults({ issuer, conditions })).toHaveLength(1);
    expect(ruleFaults({ issuer: "https://ci.example.com", conditions })).toEqual([]);
    expect(ruleFaults({ issuer: "https://ci.example.com", conditions: { ref: "*" } })).toHaveLength(1);
  });
  it("asks for claims that the token itself has, each with one value", () => {
    expect(misfits({ conditions: { run_attempt: "1", protected: "true" } }, { run_attempt: 1, protected: true })).toEqual([]);
    expect(misfits({ conditions: { constructor: "*" } }, {})).toEqual(["the token has no claim constructor with one value"]);
    expect(misfits({ conditions: { groups: "a" } }, { groups: ["a"] })).toHaveLength(1);
    expect(misfits({ conditions: { ref: "main" } }, { ref: "dev" })).toEqual(["ref is dev, not main"]);
  });
  it("that says most is the one that counts", () => {
    expect(closest([{ conditions: { a: "1" } }, { conditions: { a: "1", b: "2" } }, { conditions: { b: "2", c: "3" } }])).toEqual({
      conditions: { a: "1", b: "2" },
    });
  });
  it("lasts an hour at most", () => {
    const rule = { name: "ci", issuer: github, audience: "drover", conditions: { repository: "a/b" }, user: "ci" };
    expect(NewIdentityRule.safeParse({ ...rule, lifetimeSeconds: 3600 }).success).toBe(true);
    expect(NewIdentityRule.safeParse({ ...rule, lifetimeSeconds: 3601 }).success).toBe(false);
  });
});

it("takes addresses of providers in clear from this computer only", () => {
  for (const good of ["https://id.example.com/realms/x", "http://127.0.0.1:8080", "http://localhost/a"])
    expect(isSafeIssuer(good)).toBe(true);
  for (const bad of ["http://id.example.com", "https://a:b@id.example.com", "https://x?y", "ftp://x", "x", "http://127.0.0.1.example.com"])
    expect(isSafeIssuer(bad)).toBe(false);
});

it("tells what is wrong with a provider as a whole", () => {
  const provider = { name: "sso", issuer: "https://id.example.com", clientId: "drover", makesUsers: true, bearerAudiences: ["drover"] };
  const issues = NewIdentityProvider.safeParse({ ...provider, scopes: ["email"] }).error?.issues.map(
    ({ message }) => message.split(":")[0],
  );
  expect(issues).toEqual(["scopes", "groupRoles", "bearerAudiences"]);
});
