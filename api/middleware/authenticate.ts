/**
 * Who a request speaks for: the bearer of a token, or the user behind an API key.
 *
 * The one idea: credentials only name a user; what that user may do is read from the database at each request, so a change of rights acts at once.
 */
import type { Context } from "hono";
import type { Actor } from "../../domain/access/schema.ts";
import { FaultError } from "../../domain/errors.ts";
import { findApiKey } from "../../db/api-keys.ts";
import { findUser, rootName, type UserRow } from "../../db/users.ts";
import { secretMatches } from "../../security/secrets.ts";
import type { ApiEnv } from "../http.ts";
import type { Hub } from "../ports.ts";

type Access = Pick<Hub, "db" | "signer" | "passwords">;

/** `description` is null where the wire answers the four characters `null`. */
export type Identity = { ok: true; actor: Actor } | { ok: false; description: string | null };
const unknown = (description: string | null): Identity => ({ ok: false, description });

export async function identify(hub: Access, c: Context<ApiEnv>): Promise<Identity> {
  const authorization = c.req.header("Authorization") ?? tokenInAddress(c);
  const apiKey = c.req.header("X-Api-Key");
  if (authorization !== undefined && apiKey !== undefined) return unknown(null);
  if (authorization === undefined) return byApiKey(hub, apiKey ?? "");
  if (!authorization.startsWith("Bearer ")) return unknown(null);
  return byToken(hub, authorization.slice("Bearer ".length));
}

/** Browsers cannot send headers with a WebSocket, so there, and nowhere else, the token may stand in the address. */
function tokenInAddress(c: Context<ApiEnv>): string | undefined {
  const isUpgrade = c.req.header("Upgrade")?.toLowerCase() === "websocket" && /^\/api\/v1\/(ws\/|logs\/stream$)/.test(c.req.path);
  const token =
    isUpgrade && c.req.header("X-Api-Key") === undefined ? (c.req.query("access_token") ?? c.req.query("authorization")) : undefined;
  return token === undefined ? undefined : `Bearer ${token.replace(/^Bearer /, "")}`;
}

/** The same caller with the rights of this moment; null when its user or its key is worth nothing any more. */
export async function actorAgain({ db }: Pick<Hub, "db">, { userId, apiKeyId }: Actor): Promise<Actor | null> {
  if (apiKeyId !== null) {
    const key = await findApiKey(db, apiKeyId);
    if (!key || key.revokedAt || key.expired) return null;
  }
  const user = await findUser(db, userId);
  return user ? actorOf(user, apiKeyId) : null;
}

async function byToken(hub: Access, token: string): Promise<Identity> {
  const verified = await hub.signer.verify(token).catch((error: unknown) => {
    if (error instanceof FaultError && error.fault.code === "unauthenticated") return null;
    throw error;
  });
  if (!verified) return unknown("error: invalid claims");
  if (verified.api_key_id !== undefined) {
    const key = await findApiKey(hub.db, verified.api_key_id);
    if (!key || key.revokedAt || key.expired) return unknown("Invalid API key");
  }
  const user = await findUser(hub.db, verified.uid);
  return user ? { ok: true, actor: actorOf(user, verified.api_key_id ?? null) } : unknown("error 404: user not found");
}

async function byApiKey(hub: Access, encoded: string): Promise<Identity> {
  const found = await resolveApiKey(hub, encoded);
  return found.ok ? { ok: true, actor: actorOf(found.user, found.keyId) } : unknown(found.description);
}

export type ResolvedKey = { ok: true; user: UserRow; keyId: string } | { ok: false; malformed: boolean; description: string };

/** `base64(key:secret)`. A key without a user speaks for root. */
export async function resolveApiKey(hub: Access, encoded: string): Promise<ResolvedKey> {
  const refused = (description: string, malformed = false): ResolvedKey => ({ ok: false, malformed, description });
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(encoded)) return refused("Invalid API key format", true);
  const [word, secret, ...rest] = Buffer.from(encoded, "base64").toString("utf8").split(":");
  if (!word || !secret || rest.length > 0) return refused("API key must be in format base64(key:secret)", true);
  const key = await findApiKey(hub.db, word);
  if (!key) return refused("Invalid API key");
  if (!(await secretMatches(secret, key.secretHash, hub.passwords))) return refused("Invalid API key secret");
  if (key.revokedAt) return refused("Api Key has been revoked");
  if (key.expired) return refused("Api Key has expired");
  const user = await findUser(hub.db, key.userId ?? rootName);
  return user ? { ok: true, user, keyId: key.id } : refused("Invalid API key");
}

const actorOf = (user: UserRow, apiKeyId: string | null): Actor => ({
  userId: user.id,
  username: user.username,
  email: user.email,
  project: user.project,
  roles: user.roles,
  claims: user.effectiveClaims,
  isSuperUser: user.isSuperUser,
  apiKeyId,
});
