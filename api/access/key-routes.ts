/**
 * `/api-keys`: keys for programs, made here, limited and ending as one says.
 *
 * The one idea: the secret is 256 bits of ours, told once, in the answer that makes the key; afterwards only its hash exists.
 */
import { createRoute } from "@hono/zod-openapi";
import { randomBytes } from "node:crypto";
import { z } from "zod";
import { ApiKey, MadeApiKey, NewApiKey } from "../../domain/access/api-keys.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { FaultError } from "../../domain/errors.ts";
import { createApiKey, findApiKey, listApiKeys, revokeApiKey, type ApiKey as Row } from "../../db/api-keys.ts";
import { listUsers, type UserRow } from "../../db/users.ts";
import { newSecret } from "../../security/secrets.ts";
import { faults, json } from "../http.ts";
import { actorOf, authorised } from "../middleware/authorise.ts";
import type { Hub } from "../ports.ts";
import { askedBy, pageOf, routesOf } from "../route.ts";
import { aboutApiKey, telling } from "../told.ts";
import { foundUser } from "./given.ts";
import { either, foundKey, limitOfNew, mayReach } from "./keys.ts";
import { names } from "./wire.ts";

const tags = ["access"];

export function keyRoutes(hub: Hub) {
  const list = createRoute({
    method: "get",
    path: "/api-keys",
    operationId: "listApiKeys",
    summary: "List API keys, never a secret",
    tags,
    middleware: authorised(hub, either("LIST")),
    responses: { 200: json(pageOf(ApiKey), "Oldest first; one's own for whoever may list only those."), ...faults() },
  });
  const add = createRoute({
    method: "post",
    path: "/api-keys",
    operationId: "addApiKey",
    summary: "Make an API key",
    tags,
    middleware: authorised(hub, either("CREATE")),
    request: { body: { required: true, ...json(NewApiKey, "Its name, what it is limited to and when it ends.") } },
    responses: { 201: json(MadeApiKey, "The key, with its secret."), ...faults("api_key_exists", "user_not_found") },
  });
  const revoke = createRoute({
    method: "delete",
    path: "/api-keys/{idOrName}",
    operationId: "revokeApiKey",
    summary: "Revoke an API key and every token that it gave, at once",
    tags,
    middleware: authorised(hub, either("DELETE")),
    request: { params: z.object({ idOrName: z.string().min(1).max(128) }) },
    responses: { 204: { description: "It opens nothing any more." }, ...faults("api_key_not_found") },
  });

  return routesOf()
    .openapi(list, async (c) => {
      const actor = actorOf(c);
      const [keys, users] = await Promise.all([listApiKeys(hub.db), listUsers(hub.db)]);
      const byId = new Map(users.map((user) => [user.id, user]));
      const reached = keys.filter((key) => mayReach(actor, key, byId.get(key.userId ?? "")?.project, "LIST"));
      return c.json({ items: reached.map((key) => told(key, byId.get(key.userId ?? ""))), nextCursor: null }, 200);
    })
    .openapi(add, async (c) => {
      const { key, secret, user } = await make(hub, c.req.valid("json"), askedBy(c));
      return c.json({ ...told(key, user), secret }, 201);
    })
    .openapi(revoke, async (c) => {
      const key = await foundKey(hub, c.req.valid("param").idOrName, actorOf(c), "DELETE");
      await telling(hub, askedBy(c), aboutApiKey("revoked", key), (tx) => revokeApiKey(tx, key.id));
      return c.body(null, 204);
    });
}

const told = (key: Row, user: UserRow | undefined): ApiKey => ApiKey.parse({ ...key, username: user?.username ?? null });

async function make(hub: Hub, { name, user: word, claims, expiresAt }: NewApiKey, asked: { actor: Actor; requestId: string | null }) {
  const { actor } = asked;
  const user = await foundUser(hub, word ?? actor.userId, actor);
  if (user.id !== actor.userId && !actor.isSuperUser)
    throw new FaultError({ code: "forbidden", message: "Only a super user makes API keys for other users." });
  if (expiresAt !== null && expiresAt.getTime() <= Date.now())
    throw new FaultError({ code: "invalid_request", message: `expiresAt: ${expiresAt.toISOString()} is past.` });
  const { secret, hash } = newSecret();
  // Its public half only leads to the row.
  const key = `DROVER_${randomBytes(8).toString("hex").toUpperCase()}`;
  const limit = await limitOfNew(hub, actor, claims && names(claims));
  const wanted = { id: crypto.randomUUID(), name, key, secretHash: hash, userId: user.id, expiresAt, claims: limit };
  return telling(hub, asked, aboutApiKey("added", wanted), async (tx) => {
    // A name must not lead to another's key, by whichever word that is found.
    const made = (await findApiKey(tx, name)) ? null : await createApiKey(tx, wanted);
    if (!made) throw new FaultError({ code: "api_key_exists", message: `There is an API key ${name} already.`, subject: name });
    return { key: made, user, secret: Buffer.from(`${key}:${secret}`).toString("base64") };
  });
}
