/**
 * The wire's routes of identity: tokens, users, roles, claims, API keys.
 *
 * The one idea: whoever makes a user or a key gives away no more than it holds itself; only a super user makes super users.
 */
import { z } from "zod";
import { superUserRole, newUserClaims } from "../../domain/access/claims.ts";
import { limited, passwordFaults } from "../../domain/access/rules.ts";
import { unwrap } from "../../domain/errors.ts";
import { createUser, removeUser, rootName } from "../../db/users.ts";
import { resolveApiKey } from "../middleware/authenticate.ts";
import type { Hub } from "../ports.ts";
import { aboutUser, telling } from "../told.ts";
import { refusal } from "../wire/errors.ts";
import { filtered } from "../wire/filter.ts";
import type { Call, Mount } from "../wire/mount.ts";
import { checkGiven, foundUser, seenUsers } from "./given.ts";
import { userConfigRoutes } from "./wire-configs.ts";
import { apiKeyRoutes } from "./wire-keys.ts";
import { rightRoutes } from "./wire-rights.ts";
import { roleRoutes } from "./wire-roles.ts";
import { validateToken, type IssuedToken, type Logins } from "./login.ts";
import {
  ApiUser,
  LoginRequest,
  LoginResponse,
  longestSecret,
  names,
  UserCreateRequest,
  ValidateTokenRequest,
  ValidateTokenResponse,
  wireUser,
} from "./wire.ts";

export function accessWireRoutes(hub: Hub, mount: Mount, login: Logins): void {
  tokenRoutes(hub, mount, login);
  userRoutes(hub, mount);
  rightRoutes(hub, mount);
  roleRoutes(hub, mount);
  apiKeyRoutes(hub, mount);
  userConfigRoutes(hub, mount);
}

function tokenRoutes(hub: Hub, mount: Mount, login: Logins): void {
  const tag = "tokens";
  mount(
    "post",
    "/auth/token",
    "Log in",
    { tag, needs: "public", status: 200, body: LoginRequest, reply: LoginResponse },
    async ({ body, c }) => {
      const { token, expiresAt, user } = body.api_key === "" ? await byPassword(body, c.var.source) : await byKey(body.api_key);
      return { email: user.email, token, expires_at: Math.floor(expiresAt.getTime() / 1000) };
    },
  );

  async function byPassword({ email, username, password }: z.infer<typeof LoginRequest>, source: string): Promise<IssuedToken> {
    const word = email === "" ? username : email;
    if (word === "") throw refusal(400, "Invalid request body: error 400: Email or username is required");
    if (password === "")
      throw refusal(400, `Invalid request body: error 400: Password is required for ${email === "" ? "username" : "email"} login`);
    if (password.length > longestSecret) throw refusal(400, "Invalid user or Password");
    return unwrap(await login.byPassword(word, password, source));
  }

  async function byKey(encoded: string): Promise<IssuedToken> {
    const key = await resolveApiKey(hub, encoded);
    if (!key.ok) throw refusal(key.malformed ? 400 : 401, key.description);
    const { id, claims: to } = key.key;
    const { roles, claims } = limited({ ...key.user, claims: key.user.effectiveClaims }, to);
    return login.issue({ ...key.user, roles, effectiveClaims: claims }, { api_key_id: id });
  }

  mount(
    "post",
    "/auth/token/validate",
    "Tell whether a token is good",
    { tag, needs: "public", status: 200, body: ValidateTokenRequest, reply: ValidateTokenResponse },
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
  mount(
    "get",
    "/auth/users",
    "List users",
    { tag, needs: { claims: ["LIST_USER"] }, status: 200, reply: z.array(ApiUser) },
    async ({ c, actor }) => {
      return filtered((await seenUsers(hub, actor)).map(wireUser), c.req.header("X-Filter"));
    },
  );
  mount(
    "get",
    "/auth/users/{id}",
    "Get a user by id, e-mail or name",
    { tag, needs: { claims: ["LIST_USER"] }, status: 200, reply: ApiUser },
    async ({ param, actor }) => wireUser(await foundUser(hub, param("id"), actor)),
  );
  mount(
    "post",
    "/auth/users",
    "Make a user",
    { tag, needs: { claims: ["CREATE_USER"] }, status: 201, body: UserCreateRequest, reply: ApiUser },
    (call) => makeUser(hub, call),
  );
  mount(
    "delete",
    "/auth/users/{id}",
    "Remove a user",
    { tag, needs: { claims: ["DELETE_USER"] }, status: 202 },
    async ({ param, actor, asked }) => {
      const user = await foundUser(hub, param("id"), actor);
      if (user.username.toLowerCase() === rootName) throw refusal(400, "error 400: cannot remove root user");
      if (user.isSuperUser && !actor.isSuperUser) throw refusal(403, "error 403: only a super user removes a super user");
      await telling(hub, asked, aboutUser("removed", user), (tx) => removeUser(tx, user.id));
    },
  );
}

async function makeUser(hub: Hub, { body, actor, asked }: Call<z.output<typeof UserCreateRequest>>) {
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
  const wanted = { id: crypto.randomUUID(), project: actor.project, username: username.trim(), name: name.trim(), email: email.trim() };
  return telling(hub, asked, aboutUser("added", wanted), async (tx) => {
    const user = await createUser(tx, { ...wanted, passwordHash, roles, claims });
    if (!user) throw refusal(400, "error 400: user already exists");
    return wireUser(user);
  });
}
