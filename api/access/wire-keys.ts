/**
 * The wire's API keys.
 *
 * The one idea: a secret is told once, in the answer that makes the key; afterwards only its hash exists.
 */
import { z } from "zod";
import { accessName } from "../../domain/access/rules.ts";
import { createApiKey, findApiKey, listApiKeys, removeApiKey, revokeApiKey, type ApiKey } from "../../db/api-keys.ts";
import { findUser, listUsers } from "../../db/users.ts";
import type { Hub } from "../ports.ts";
import { aboutApiKey, telling } from "../told.ts";
import { refusal } from "../wire/errors.ts";
import { filtered } from "../wire/filter.ts";
import type { Call, Mount } from "../wire/mount.ts";
import { either, foundKey, limitOfNew, mayReach } from "./keys.ts";
import { ApiKeyRequest, ApiKeyResponse, longestSecret, wireApiKey } from "./wire.ts";

const tag = "API keys";
export function apiKeyRoutes(hub: Hub, mount: Mount): void {
  const shown = async (key: ApiKey) => wireApiKey(key, key.userId === null ? null : await findUser(hub.db, key.userId));

  mount(
    "get",
    "/auth/api_keys",
    "List API keys",
    { tag, needs: either("LIST"), status: 200, reply: z.array(ApiKeyResponse) },
    async ({ c, actor }) => {
      const [keys, users] = await Promise.all([listApiKeys(hub.db), listUsers(hub.db)]);
      const projects = new Map(users.map(({ id, project }) => [id, project]));
      const mine = keys.filter((key) => mayReach(actor, key, projects.get(key.userId ?? ""), "LIST"));
      return filtered(await Promise.all(mine.map(shown)), c.req.header("X-Filter"));
    },
  );
  mount(
    "get",
    "/auth/api_keys/{id}",
    "Get an API key by id, name or key",
    { tag, needs: either("LIST"), status: 200, reply: ApiKeyResponse },
    async ({ param, actor }) => shown(await foundKey(hub, param("id"), actor, "LIST")),
  );
  mount(
    "post",
    "/auth/api_keys",
    "Make an API key",
    { tag, needs: either("CREATE"), status: 201, body: ApiKeyRequest, reply: ApiKeyResponse },
    (call) => makeApiKey(hub, call),
  );
  endRoutes(hub, mount);
}

function endRoutes(hub: Hub, mount: Mount): void {
  mount(
    "delete",
    "/auth/api_keys/{id}",
    "Remove an API key",
    { tag, needs: either("DELETE"), status: 202 },
    async ({ asked, param, actor }) => {
      const key = await foundKey(hub, param("id"), actor, "DELETE");
      await telling(hub, asked, aboutApiKey("removed", key), (tx) => removeApiKey(tx, key.id));
    },
  );
  mount(
    "put",
    "/auth/api_keys/{id}/revoke",
    "Revoke an API key",
    { tag, needs: { superUser: true }, status: 202 },
    async ({ asked, param, actor }) => {
      const key = await foundKey(hub, param("id"), actor, "DELETE");
      await telling(hub, asked, aboutApiKey("revoked", key), (tx) => revokeApiKey(tx, key.id));
    },
  );
}

async function makeApiKey(hub: Hub, { asked, body, actor }: Call<z.output<typeof ApiKeyRequest>>) {
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
  const secretHash = await hub.passwords.hash(body.secret);
  const claims = await limitOfNew(hub, actor, null);
  const wanted = { id: crypto.randomUUID(), name: body.name, key, secretHash, userId, expiresAt, claims };
  return telling(hub, asked, aboutApiKey("added", wanted), async (tx) => {
    const made = (await findApiKey(tx, key)) ? null : await createApiKey(tx, wanted);
    if (!made) throw refusal(400, "error 400: API Key already exists");
    return wireApiKey(made, null, Buffer.from(`${key}:${body.secret}`).toString("base64"));
  });
}
