/** Which user somebody becomes whom an identity provider vouches for. */
import { describe, expect, it } from "vitest";
import { linkOf, personOf, rolesAfter, rolesOf, type LinkFacts } from "./linking.ts";

const words = { userNameClaim: "preferred_username", groupsClaim: "groups" };
const person = personOf({ sub: "1", preferred_username: "ann", email: "ann@example.com", email_verified: true, groups: ["ops"] }, words);
const facts: LinkFacts = {
  provider: { name: "sso", makesUsers: true },
  person,
  linked: null,
  byEmail: null,
  nameIsTaken: false,
  roles: ["USER"],
};
const other = { id: "u", isSuperUser: false, otherSubject: false };
const answer = (more: Partial<LinkFacts>) => {
  const result = linkOf({ ...facts, ...more });
  return result.ok ? result.value.as : result.fault.code;
};

describe("a person", () => {
  it.each([
    ["known", { linked: "u", byEmail: { ...other, isSuperUser: true } }],
    ["linked", { byEmail: other, nameIsTaken: true, roles: [] }],
    ["made", {}],
    ["identity_refused", { byEmail: { ...other, isSuperUser: true } }],
    ["identity_refused", { byEmail: { ...other, otherSubject: true } }],
    ["identity_refused", { provider: { name: "sso", makesUsers: false } }],
    ["identity_refused", { person: { ...person, username: null } }],
    ["identity_refused", { nameIsTaken: true }],
    ["identity_refused", { roles: [] }],
  ] as [string, Partial<LinkFacts>][])("is %s with %j", (expected, more) => expect(answer(more)).toBe(expected));

  it.each([[false], ["true"], [1], [undefined]])("has no address that is not verified (%j)", (email_verified) =>
    expect(personOf({ sub: "1", email: "root@localhost", email_verified }, words).email).toBeNull(),
  );
  it("has the groups that are words", () => {
    expect(personOf({ sub: "1", groups: ["a", 1, { b: 2 }] }, words).groups).toEqual(["a"]);
    expect(personOf({ sub: "1", groups: "a" }, words).groups).toEqual(["a"]);
  });
});

it("gives the roles of everybody and of each group, and nothing for a group that names itself everybody", () => {
  const mapping = { "*": ["USER"], ops: ["ADMIN", "USER"] };
  expect(rolesOf(["ops", "unknown", "constructor"], mapping)).toEqual(["USER", "ADMIN"]);
  expect(rolesOf(["*"], { ops: ["ADMIN"] })).toEqual([]);
});

it("takes away what came by a group, and leaves what was given by hand", () => {
  expect(rolesAfter(["USER", "ADMIN"], ["ADMIN"], [])).toEqual({ roles: ["USER"], byGroups: [] });
  expect(rolesAfter(["USER"], [], ["USER", "ADMIN"])).toEqual({ roles: ["USER", "ADMIN"], byGroups: ["ADMIN"] });
});
