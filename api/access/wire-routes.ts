/**
 * The wire's routes of identity: tokens, users, roles, claims, API keys.
 *
 * The one idea: whoever makes a user or a key gives away no more than it holds itself; only a super user makes super users.
 */
import { z } from "zod";
import { superUserRole, newUserClaims } from "../../domain/access/claims.ts";
import { accessName, holds, passwordFaults } from "../../domain/access/rules.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { createApiKey, findApiKey, listApiKeys, removeApiKey, revokeApiKey, type ApiKey } from "../../db/api-keys.ts";
import { findRole, listClaims, listRoles, unknownClaims, unknownRoles } from "../../db/roles.ts";
import { createUser, findUser, listUsers, removeUser, rootName, type UserRow } from "../../db/users.ts";
import { resolveApiKey } from "../middleware/authenticate.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";
import { filtered } from "../wire/filter.ts";
import type { Call, Mount } from "../wire/mount.ts";
import { logins, validateToken, type IssuedToken } from "./login.ts";
import {
  ApiKeyRequest,
  ApiKeyResponse,
  ApiUser,
  ClaimResponse,
  LoginRequest,
  LoginResponse,
  longestSecret,
  names,
  RoleResponse,
  UserCreateRequest,
  ValidateTokenRequest,
  ValidateTokenResponse,
  wireApiKey,
  wireClaim,
  wireRole,
  wireUser,
} from "./wire.ts";

export function accessWireRoutes(hub: Hub, mount: Mount): void {
  tokenRoutes(hub, mount);
  userRoutes(hub, mount);
  roleRoutes(hub, mount);
  apiKeyRoutes(hub, mount);
}

function tokenRoutes(hub: Hub, mount: Mount): void {
  const login = logins(hub);
  const tag = "tokens";
  mount(
    { method: "post", path: "/auth/token", summary: "Log in", tag, needs: "public", status: 200, body: LoginRequest, reply: LoginResponse },
    async ({ body }) => {
      const { token, expiresAt, user } = body.api_key === "" ? await byPassword(body) : await byKey(body.api_key);
      return { email: user.email, token, expires_at: Math.floor(expiresAt.getTime() / 1000) };
    },
  );

  async function byPassword({ email, username, password }: z.infer<typeof LoginRequest>): Promise<IssuedToken> {
    const word = email === "" ? username : email;
    if (word === "") throw refusal(400, "Invalid request body: error 400: Email or username is required");
    if (password === "")
      throw refusal(400, `Invalid request body: error 400: Password is required for ${email === "" ? "username" : "email"} login`);
    if (password.length > longestSecret) throw refusal(400, "Invalid user or Password");
    return unwrap(await login.byPassword(word, password));
  }

  async function byKey(encoded: string): Promise<IssuedToken> {
    const key = await resolveApiKey(hub, encoded);
    if (!key.ok) throw refusal(key.malformed ? 400 : 401, key.description);
    return login.issue(key.user, key.keyId);
  }

  mount(
    {
      method: "post",
      path: "/auth/token/validate",
      summary: "Tell whether a token is good",
      tag,
      needs: "public",
      status: 200,
      body: ValidateTokenRequest,
      reply: ValidateTokenResponse,
    },
    async ({ body }) => {
      if (body.token === "") throw refusal(400, "Invalid request body: error 400: Token is required");
      const verdict = await validateToken(hub, body.token);
      if (verdict === "garbage") throw refusal(400, "error: invalid claims");
      if (verdict === "invalid") throw refusal(401, "Invalid token");
      return { valid: true };
    },
  );
}

function userRoutes(hub: Hub, mount: Mount): void {
  const tag = "users";
  const found = async (word: string): Promise<UserRow> => {
    const user = await findUser(hub.db, word);
    if (!user) throw new FaultError({ code: "user_not_found", message: `There is no user ${word}.` });
    return user;
  };
  mount(
    {
      method: "get",
      path: "/auth/users",
      summary: "List users",
      tag,
      needs: { claims: ["LIST_USER"] },
      status: 200,
      reply: z.array(ApiUser),
    },
    async ({ c }) => filtered((await listUsers(hub.db)).map(wireUser), c.req.header("X-Filter")),
  );
  mount(
    {
      method: "get",
      path: "/auth/users/{id}",
      summary: "Get a user by id, e-mail or name",
      tag,
      needs: { claims: ["LIST_USER"] },
      status: 200,
      reply: ApiUser,
    },
    async ({ param }) => wireUser(await found(param("id"))),
  );
  mount(
    {
      method: "post",
      path: "/auth/users",
      summary: "Make a user",
      tag,
      needs: { claims: ["CREATE_USER"] },
      status: 201,
      body: UserCreateRequest,
      reply: ApiUser,
    },
    (call) => makeUser(hub, call),
  );
  mount(
    { method: "delete", path: "/auth/users/{id}", summary: "Remove a user", tag, needs: { claims: ["DELETE_USER"] }, status: 202 },
    async ({ param, actor }) => {
      const user = await found(param("id"));
      if (user.username.toLowerCase() === rootName) throw refusal(400, "error 400: cannot remove root user");
      if (user.isSuperUser && !actor.isSuperUser) throw refusal(403, "error 403: only a super user removes a super user");
      await removeUser(hub.db, user.id);
    },
  );
}

async function makeUser(hub: Hub, { body, actor }: Call<z.output<typeof UserCreateRequest>>) {
  for (const field of ["username", "name", "email"] as const) {
    if (body[field].trim() === "")
      throw refusal(400, `Invalid request body: error 400: ${field[0]?.toUpperCase()}${field.slice(1)} is required`);
  }
  const weak = body.password === "" ? [] : passwordFaults(body.password, hub.settings.passwords);
  if (weak.length > 0) throw refusal(400, weak.join("; "));
  const roles = names([...(body.roles.length === 0 ? ["USER"] : body.roles), ...(body.is_super_user ? [superUserRole] : [])]);
  const claims = names(body.claims.length === 0 ? newUserClaims : body.claims);
  await checkGiven(hub, actor, roles, claims);
  const passwordHash = body.password === "" ? null : await hub.passwords.hash(body.password);
  const { username, name, email } = body;
  const user = await createUser(hub.db, {
    id: crypto.randomUUID(),
    username: username.trim(),
    name: name.trim(),
    email: email.trim(),
    passwordHash,
    roles,
    claims,
  });
  if (!user) throw refusal(400, "error 400: user already exists");
  return wireUser(user);
}

async function checkGiven(hub: Hub, actor: Actor, roles: readonly string[], claims: readonly string[]): Promise<void> {
  const [role] = await unknownRoles(hub.db, roles);
  if (role !== undefined) throw refusal(400, `error 400: role ${role} does not exist`);
  const [claim] = await unknownClaims(hub.db, claims);
  if (claim !== undefined) throw refusal(400, `error 400: claim ${claim} does not exist`);
  if (actor.isSuperUser) return;
  const inherited = (await Promise.all(roles.map((id) => findRole(hub.db, id)))).flatMap((found) => found?.claims ?? []);
  const beyond = [...claims, ...inherited].find((id) => !actor.claims.includes(id));
  if (beyond !== undefined || roles.includes(superUserRole))
    throw refusal(403, `error 403: you cannot give away ${beyond ?? superUserRole}, which you do not hold`);
}

function roleRoutes(hub: Hub, mount: Mount): void {
  const tag = "roles and claims";
  const wireRoles = async () => {
    const [claims, users] = [await listClaims(hub.db), await listUsers(hub.db)];
    return (await listRoles(hub.db)).map((role) => wireRole(role, claims, users));
  };
  mount(
    {
      method: "get",
      path: "/auth/roles",
      summary: "List roles",
      tag,
      needs: { claims: ["LIST_ROLE"] },
      status: 200,
      reply: z.array(RoleResponse),
    },
    async ({ c }) => filtered(await wireRoles(), c.req.header("X-Filter")),
  );
  mount(
    {
      method: "get",
      path: "/auth/roles/{id}",
      summary: "Get a role",
      tag,
      needs: { claims: ["LIST_ROLE"] },
      status: 200,
      reply: RoleResponse,
    },
    async ({ param }) => {
      const role = (await wireRoles()).find(({ id }) => id === accessName(param("id")));
      if (!role) throw refusal(404, "error 404: role not found");
      return role;
    },
  );
  mount(
    {
      method: "get",
      path: "/auth/claims",
      summary: "List claims",
      tag,
      needs: { claims: ["LIST_CLAIM"] },
      status: 200,
      reply: z.array(ClaimResponse),
    },
    async ({ c }) => filtered((await listClaims(hub.db)).map(wireClaim), c.req.header("X-Filter")),
  );
}

/** Any of the two claims opens the route; the one for one's own keys reaches no others. */
function apiKeyRoutes(hub: Hub, mount: Mount): void {
  const tag = "API keys";
  const either = <const A extends "LIST" | "CREATE" | "DELETE">(act: A) => ({
    claims: [`${act}_API_KEY`, `${act}_OWN_API_KEY`] as const,
    any: true,
  });
  const mayReach = (actor: Actor, key: ApiKey, act: "LIST" | "DELETE") => holds(actor, `${act}_API_KEY`) || key.userId === actor.userId;
  const found = async (word: string, actor: Actor, act: "LIST" | "DELETE"): Promise<ApiKey> => {
    const key = await findApiKey(hub.db, word);
    if (key && mayReach(actor, key, act)) return key;
    throw new FaultError({ code: "api_key_not_found", message: `There is no API key ${word}.` });
  };
  const shown = async (key: ApiKey) => wireApiKey(key, key.userId === null ? null : await findUser(hub.db, key.userId));

  mount(
    {
      method: "get",
      path: "/auth/api_keys",
      summary: "List API keys",
      tag,
      needs: either("LIST"),
      status: 200,
      reply: z.array(ApiKeyResponse),
    },
    async ({ c, actor }) => {
      const mine = (await listApiKeys(hub.db)).filter((key) => mayReach(actor, key, "LIST"));
      return filtered(await Promise.all(mine.map(shown)), c.req.header("X-Filter"));
    },
  );
  mount(
    {
      method: "get",
      path: "/auth/api_keys/{id}",
      summary: "Get an API key by id, name or key",
      tag,
      needs: either("LIST"),
      status: 200,
      reply: ApiKeyResponse,
    },
    async ({ param, actor }) => shown(await found(param("id"), actor, "LIST")),
  );
  mount(
    {
      method: "post",
      path: "/auth/api_keys",
      summary: "Make an API key",
      tag,
      needs: either("CREATE"),
      status: 201,
      body: ApiKeyRequest,
      reply: ApiKeyResponse,
    },
    (call) => makeApiKey(hub, call),
  );
  mount(
    { method: "delete", path: "/auth/api_keys/{id}", summary: "Remove an API key", tag, needs: either("DELETE"), status: 202 },
    async ({ param, actor }) => removeApiKey(hub.db, (await found(param("id"), actor, "DELETE")).id),
  );
  mount(
    { method: "put", path: "/auth/api_keys/{id}/revoke", summary: "Revoke an API key", tag, needs: { superUser: true }, status: 202 },
    async ({ param, actor }) => revokeApiKey(hub.db, (await found(param("id"), actor, "DELETE")).id),
  );
}

async function makeApiKey(hub: Hub, { body, actor }: Call<z.output<typeof ApiKeyRequest>>) {
  for (const field of ["name", "key", "secret"] as const) {
    if (body[field] === "") throw refusal(400, `Invalid request body: error 400: ${field[0]?.toUpperCase()}${field.slice(1)} is required`);
  }
  if (body.secret.length > longestSecret || body.secret.includes(":"))
    throw refusal(400, "Invalid request body: error 400: Secret has at most 40 characters and no colon");
  const expiresAt = body.expires_at === "" ? null : new Date(body.expires_at);
  if (expiresAt && Number.isNaN(expiresAt.getTime()))
    throw refusal(400, "Invalid request body: error 400: expires_at is no time in RFC 3339");
  const userId = body.user_id === "" ? actor.userId : body.user_id;
  if (userId !== actor.userId && !(actor.isSuperUser && (await findUser(hub.db, userId))))
    throw refusal(403, "error 403: only a super user makes keys for other users");
  const key = accessName(body.key);
  const made = (await findApiKey(hub.db, key))
    ? null
    : await createApiKey(hub.db, {
        id: crypto.randomUUID(),
        name: body.name,
        key,
        secretHash: await hub.passwords.hash(body.secret),
        userId,
        expiresAt,
      });
  if (!made) throw refusal(400, "error 400: API Key already exists");
  return wireApiKey(made, null, Buffer.from(`${key}:${body.secret}`).toString("base64"));
}
