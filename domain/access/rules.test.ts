import { describe, expect, it } from "vitest";
import { seededClaimIds, seededRoles } from "./claims.ts";
import { mayUse, passwordFaults } from "./rules.ts";

const plain = { claims: ["LIST_VM"], isSuperUser: false, project: "default" };

describe("permission", () => {
  it("lets a super user pass whatever is asked for", () => {
    expect(mayUse({ ...plain, claims: [], isSuperUser: true }, { claims: ["CREATE_VM"], superUser: true }).ok).toBe(true);
  });
  it("asks for all claims unless any is enough", () => {
    expect(mayUse(plain, { claims: ["LIST_VM", "CREATE_VM"] }).ok).toBe(false);
    expect(mayUse(plain, { claims: ["LIST_VM", "CREATE_VM"], any: true }).ok).toBe(true);
    expect(mayUse({ ...plain, claims: [] }, { claims: ["LIST_VM"], any: true }).ok).toBe(false);
  });
  it("keeps members of other projects from what belongs to the whole hub, but no super user", () => {
    const role = { claims: ["LIST_VM"], hubWide: true } as const;
    expect(mayUse(plain, role).ok).toBe(true);
    expect(mayUse({ ...plain, project: "other" }, role).ok).toBe(false);
    expect(mayUse({ ...plain, project: "other", isSuperUser: true }, role).ok).toBe(true);
  });
  it("names what is missing", () => {
    const answer = mayUse(plain, { claims: ["CREATE_VM"] });
    expect(answer.ok ? "" : answer.fault.message).toBe("User does not contain enough permissions for claims (AND), missing [CREATE_VM]");
  });
});

describe("what a hub begins with", () => {
  it("has the claims that clients know, and one more", () => {
    expect(seededClaimIds).toHaveLength(88);
    expect(seededRoles.map((role) => role.claims.length)).toEqual([30, 86, 86]);
  });
});

it("tells everything that a weak password lacks", () => {
  const rules = { minimumLength: 12, maximumLength: 40, lowercase: true, uppercase: true, number: true, special: true };
  expect(passwordFaults("short", rules)).toHaveLength(4);
  expect(passwordFaults("Long-enough-1!", rules)).toEqual([]);
});
