/**
 * The wire's changes of users: their names, their roles, their claims.
 *
 * The one idea: roles and claims of a user are two lists of words that change in the same way, so their routes are written once.
 */
import { z } from "zod";
import { accessName } from "../../domain/access/rules.ts";
import { findClaim, findRole, listClaims, listRoles } from "../../db/roles.ts";
import { addRight, changeUser, removeRight, rootName } from "../../db/users.ts";
import type { Hub } from "../ports.ts";
import { aboutUser, aboutUserRight, telling } from "../told.ts";
import { refusal } from "../wire/errors.ts";
import type { Mount } from "../wire/mount.ts";
import { checkGiven, foundUser, mustReach, seenUsers } from "./given.ts";
import { ClaimResponse, longestSecret, NameRequest, RoleResponse, UserUpdateRequest, wireClaim, wireRole } from "./wire.ts";

const tag = "users";
const update = { claims: ["UPDATE_USER"] } as const;

export function rightRoutes(hub: Hub, mount: Mount): void {
  changeRoute(hub, mount);
  listRoutes(hub, mount);
  for (const what of ["role", "claim"] as const) grantRoutes(hub, mount, what);
}

function changeRoute(hub: Hub, mount: Mount): void {
  mount(
    "put",
    "/auth/users/{id}",
    "Change a user",
    { tag, needs: update, status: 202, body: UserUpdateRequest },
    async ({ body, actor, asked, param }) => {
      const { name, email, password } = body;
      if (name === "" && email === "" && password === "")
        throw refusal(400, "Invalid request body: error 400: name, password or email is required");
      if (password.length > longestSecret)
        throw refusal(400, `Invalid request body: error 400: password cannot be longer than ${longestSecret} characters`);
      const user = await foundUser(hub, param("id"), actor);
      mustReach(actor, user);
      // Its password is the configured one at each start: a change here would not last.
      if (user.username.toLowerCase() === rootName && password !== "") throw refusal(400, "error 400: cannot update root user");
      const passwordHash = password === "" ? {} : { passwordHash: await hub.passwords.hash(password) };
      const changes = { ...(name === "" ? {} : { name }), ...(email === "" ? {} : { email }), ...passwordHash };
      await telling(hub, asked, aboutUser("updated", user), async (tx) => {
        if (!(await changeUser(tx, user.id, changes))) throw refusal(400, "error 400: user already exists");
      });
    },
  );
}

function listRoutes(hub: Hub, mount: Mount): void {
  const needs = { claims: ["LIST_USER"] } as const;
  mount(
    "get",
    "/auth/users/{id}/roles",
    "List a user's roles",
    { tag, needs, status: 200, reply: z.array(RoleResponse) },
    async ({ param, actor }) => {
      const user = await foundUser(hub, param("id"), actor);
      const [claims, users] = [await listClaims(hub.db), await seenUsers(hub, actor)];
      return (await listRoles(hub.db)).filter(({ id }) => user.roles.includes(id)).map((role) => wireRole(role, claims, users));
    },
  );
  mount(
    "get",
    "/auth/users/{id}/claims",
    "List a user's own claims",
    { tag, needs, status: 200, reply: z.array(ClaimResponse) },
    async ({ param, actor }) => {
      const user = await foundUser(hub, param("id"), actor);
      return (await listClaims(hub.db)).filter(({ id }) => user.claims.includes(id)).map(wireClaim);
    },
  );
}

function grantRoutes(hub: Hub, mount: Mount, what: "role" | "claim"): void {
  const list = what === "role" ? "roles" : "claims";
  const path = `/auth/users/{id}/${list}`;
  mount(
    "post",
    path,
    `Give a user a ${what}`,
    { tag, needs: update, status: 201, body: NameRequest, reply: NameRequest },
    async ({ body, actor, asked, param }) => {
      const name = accessName(body.name);
      if (name === "") throw refusal(400, "Invalid request body: error 400: Name is required");
      const user = await foundUser(hub, param("id"), actor);
      const known = what === "role" ? await findRole(hub.db, name) : await findClaim(hub.db, name);
      if (!known) throw refusal(404, `error 404: ${what} not found`);
      await checkGiven(hub, actor, what === "role" ? [name] : [], what === "claim" ? [name] : []);
      if (user[list].includes(name)) throw refusal(400, `error 400: user already has the ${what} ${name}`);
      await telling(hub, asked, aboutUserRight(what, "added", user, name), (tx) => addRight(tx, user.id, list, name));
      return { name: body.name };
    },
  );
  mount("delete", `${path}/{name}`, `Take a ${what} from a user`, { tag, needs: update, status: 202 }, async ({ actor, asked, param }) => {
    const user = await foundUser(hub, param("id"), actor);
    mustReach(actor, user);
    const name = accessName(param("name"));
    if (!user[list].includes(name)) throw refusal(404, `error 404: ${what} not found`);
    await telling(hub, asked, aboutUserRight(what, "removed", user, name), (tx) => removeRight(tx, user.id, list, name));
  });
}
