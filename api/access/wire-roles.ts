/**
 * The wire's roles and claims as such.
 *
 * The one idea: what every hub begins with is locked for all but root, so that no one takes away what the hub itself relies on.
 */
import { z } from "zod";
import { accessName } from "../../domain/access/rules.ts";
import {
  createClaim,
  createRole,
  findClaim,
  findRole,
  listClaims,
  listRoles,
  removeClaim,
  removeRole,
  setRoleClaims,
  type Claim,
  type Role,
} from "../../db/roles.ts";
import { listUsers } from "../../db/users.ts";
import type { Actor } from "../../domain/access/schema.ts";
import type { Hub } from "../ports.ts";
import { aboutClaim, aboutRole, aboutRoleClaim, telling } from "../told.ts";
import { refusal } from "../wire/errors.ts";
import { filtered } from "../wire/filter.ts";
import type { Mount } from "../wire/mount.ts";
import { checkGiven, seenUsers } from "./given.ts";
import {
  ClaimGroupResponse,
  ClaimResponse,
  groupedClaims,
  NameRequest,
  names,
  RoleRequest,
  RoleResponse,
  wireClaim,
  wireClaimWithHolders,
  wireRole,
} from "./wire.ts";

const tag = "roles and claims";

export function roleRoutes(hub: Hub, mount: Mount): void {
  readRoutes(hub, mount);
  roleChangeRoutes(hub, mount);
  roleClaimRoutes(hub, mount);
  claimRoutes(hub, mount);
}

async function wireRoles(hub: Hub, actor: Actor) {
  const [claims, users] = [await listClaims(hub.db), await seenUsers(hub, actor)];
  return (await listRoles(hub.db)).map((role) => wireRole(role, claims, users));
}

async function mustFind(hub: Hub, word: string): Promise<Role> {
  const role = await findRole(hub.db, accessName(word));
  if (role) return role;
  throw refusal(404, "error 404: role not found");
}

function readRoutes(hub: Hub, mount: Mount): void {
  const needs = { claims: ["LIST_ROLE"] } as const;
  mount("get", "/auth/roles", "List roles", { tag, needs, status: 200, reply: z.array(RoleResponse) }, async ({ c, actor }) =>
    filtered(await wireRoles(hub, actor), c.req.header("X-Filter")),
  );
  mount("get", "/auth/roles/{id}", "Get a role", { tag, needs, status: 200, reply: RoleResponse }, async ({ param, actor }) => {
    const { id } = await mustFind(hub, param("id"));
    return (await wireRoles(hub, actor)).find((role) => role.id === id);
  });
  mount(
    "get",
    "/auth/roles/{id}/claims",
    "List a role's claims",
    { tag, needs, status: 200, reply: z.array(ClaimResponse) },
    async ({ param }) => {
      const role = await mustFind(hub, param("id"));
      return (await listClaims(hub.db)).filter(({ id }) => role.claims.includes(id)).map(wireClaim);
    },
  );
}

function roleChangeRoutes(hub: Hub, mount: Mount): void {
  mount(
    "post",
    "/auth/roles",
    "Make a role",
    { tag, needs: { claims: ["CREATE_ROLE"], hubWide: true }, status: 201, body: RoleRequest, reply: RoleResponse },
    async ({ body, actor, asked }) => {
      const id = accessName(body.name);
      if (id === "") throw refusal(400, "Invalid request body: error 400: Name is required");
      const claims = names(body.claims);
      await checkGiven(hub, actor, [], claims);
      await telling(hub, asked, aboutRole("added", id), async (tx) => {
        if (!(await createRole(tx, id, claims))) throw refusal(400, "error 400: role already exists");
      });
      return (await wireRoles(hub, actor)).find((role) => role.id === id);
    },
  );
  mount(
    "delete",
    "/auth/roles/{id}",
    "Remove a role",
    { tag, needs: { claims: ["DELETE_ROLE"], hubWide: true }, status: 202 },
    async ({ asked, param }) => {
      const role = await mustFind(hub, param("id"));
      if (role.internal) throw refusal(400, "error 400: cannot remove an internal role");
      await telling(hub, asked, aboutRole("removed", role.id), (tx) => removeRole(tx, role.id));
    },
  );
}

function roleClaimRoutes(hub: Hub, mount: Mount): void {
  const needs = { claims: ["UPDATE_ROLE"], hubWide: true } as const;
  const locked = (role: Role, isSuperUser: boolean) => {
    if (role.internal && !isSuperUser) throw refusal(400, "error 400: cannot change an internal role");
  };
  mount(
    "post",
    "/auth/roles/{id}/claims",
    "Add a claim to a role",
    { tag, needs, status: 201, body: NameRequest, reply: ClaimResponse },
    async ({ body, actor, asked, param }) => {
      const role = await mustFind(hub, param("id"));
      const claim = await findClaim(hub.db, accessName(body.name));
      if (!claim) throw refusal(404, "error 404: claim not found");
      locked(role, actor.isSuperUser);
      await checkGiven(hub, actor, [], [claim.id]);
      if (role.claims.includes(claim.id)) throw refusal(400, `error 400: role already has the claim ${claim.id}`);
      await telling(hub, asked, aboutRoleClaim("added", role.id, claim.id), (tx) => setRoleClaims(tx, role.id, [...role.claims, claim.id]));
      return wireClaim(claim);
    },
  );
  mount(
    "delete",
    "/auth/roles/{id}/claims/{name}",
    "Take a claim from a role",
    { tag, needs, status: 202 },
    async ({ actor, asked, param }) => {
      const role = await mustFind(hub, param("id"));
      const name = accessName(param("name"));
      locked(role, actor.isSuperUser);
      if (!role.claims.includes(name)) throw refusal(404, "error 404: claim not found");
      const left = role.claims.filter((own) => own !== name);
      await telling(hub, asked, aboutRoleClaim("removed", role.id, name), (tx) => setRoleClaims(tx, role.id, left));
    },
  );
}

async function mustFindClaim(hub: Hub, word: string): Promise<Claim> {
  const claim = await findClaim(hub.db, accessName(word));
  if (claim) return claim;
  throw refusal(404, "error 404: claim not found");
}

function claimRoutes(hub: Hub, mount: Mount): void {
  const list = { claims: ["LIST_CLAIM"] } as const;
  mount("get", "/auth/claims", "List claims", { tag, needs: list, status: 200, reply: z.array(ClaimResponse) }, async ({ c }) =>
    filtered((await listClaims(hub.db)).map(wireClaim), c.req.header("X-Filter")),
  );
  mount(
    "get",
    "/auth/claims/grouped",
    "List claims by group and resource",
    { tag, needs: list, status: 200, reply: z.array(ClaimGroupResponse) },
    async () => groupedClaims(await listClaims(hub.db)),
  );
  mount("get", "/auth/claims/{id}", "Get a claim", { tag, needs: list, status: 200, reply: ClaimResponse }, async ({ param, actor }) =>
    wireClaimWithHolders(await mustFindClaim(hub, param("id")), await seenUsers(hub, actor)),
  );
  claimChangeRoutes(hub, mount);
}

function claimChangeRoutes(hub: Hub, mount: Mount): void {
  mount(
    "post",
    "/auth/claims",
    "Make a claim",
    { tag, needs: { claims: ["CREATE_CLAIM"], hubWide: true }, status: 201, body: NameRequest, reply: ClaimResponse },
    async ({ asked, body }) => {
      const id = accessName(body.name);
      if (id === "") throw refusal(400, "Invalid request body: error 400: Name is required");
      await telling(hub, asked, aboutClaim("added", id), async (tx) => {
        if (!(await createClaim(tx, id))) throw refusal(400, "error 400: claim already exists");
      });
      return wireClaim(await mustFindClaim(hub, id));
    },
  );
  mount(
    "delete",
    "/auth/claims/{id}",
    "Remove a claim",
    { tag, needs: { claims: ["DELETE_CLAIM"], hubWide: true }, status: 202 },
    async ({ asked, param }) => {
      const claim = await mustFindClaim(hub, param("id"));
      if (claim.internal) throw refusal(400, "error 400: cannot remove an internal claim");
      // How many, and not who: they may be of other projects.
      const holders = (await listUsers(hub.db)).filter(({ claims }) => claims.includes(claim.id)).length;
      if (holders > 0) throw refusal(400, `error 400: claim is held by ${holders} ${holders === 1 ? "user" : "users"}`);
      await telling(hub, asked, aboutClaim("removed", claim.id), (tx) => removeClaim(tx, claim.id));
    },
  );
}
