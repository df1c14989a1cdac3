/** Who may be told of which event. */
import { expect, it } from "vitest";
import { maySeeEvent, type EventFacts } from "./rules.ts";

const reader = (claims: string[], roles: string[] = []) => ({ userId: "u", project: "p", roles, claims, isSuperUser: false });
const facts = (type: EventFacts["type"], more: Partial<EventFacts> = {}): EventFacts => ({
  type,
  name: `${type}.changed`,
  project: "p",
  askedBy: null,
  machine: null,
  image: null,
  ...more,
});
const guard = { requiredRoles: ["INSIDERS"], requiredClaims: [] };

it.each([
  ["an operation of one's own", [], facts("operation", { askedBy: "u" }), true],
  ["an operation of somebody else", ["LIST_VM"], facts("operation", { askedBy: "o" }), false],
  ["an operation of somebody else, by claim", ["JOB_MANAGER_LIST"], facts("step", { askedBy: "o" }), true],
  ["a machine", ["LIST_VM"], facts("machine", { machine: { owner: "o", requiredRoles: [], requiredClaims: [] } }), true],
  ["a machine without the claim", ["LIST"], facts("machine", { machine: { owner: "o", requiredRoles: [], requiredClaims: [] } }), false],
  ["a guarded machine", ["LIST_VM"], facts("machine", { machine: { owner: "o", ...guard } }), false],
  ["a guarded machine of one's own", ["LIST_VM"], facts("machine", { machine: { owner: "u", ...guard } }), true],
  ["a machine that nobody knows any more", ["LIST_VM"], facts("machine"), false],
  ["a guarded image", ["LIST_CATALOG_MANIFEST"], facts("image", { image: guard }), false],
  ["an image", ["LIST_CATALOG_MANIFEST"], facts("image", { image: { requiredRoles: [], requiredClaims: [] } }), true],
  ["an image that nobody knows any more", ["LIST_CATALOG_MANIFEST"], facts("image"), false],
  ["a host", ["LIST"], facts("host"), true],
  ["a host without the claim", ["LIST_VM"], facts("host"), false],
  ["a user", ["LIST_USER"], facts("access", { name: "user_role.added" }), true],
  ["a user without the claim", ["LIST_ROLE"], facts("access", { name: "user_role.added" }), false],
  ["a key", ["LIST_API_KEY"], facts("access", { name: "api_key.added" }), true],
  ["an identity provider", ["LIST_USER", "LIST_ROLE"], facts("access", { name: "identity_provider.added" }), false],
  ["anything of another project", ["LIST"], facts("host", { project: "other" }), false],
] as const)("%s", (_, claims, about, told) => expect(maySeeEvent(reader([...claims]), about)).toBe(told));

it("keeps a super user from nothing of its project, and from all of another", () => {
  const root = { ...reader([]), isSuperUser: true };
  expect([maySeeEvent(root, facts("image")), maySeeEvent(root, facts("machine", { project: "other" }))]).toEqual([true, false]);
});
