/**
 * Who a request speaks for: the bearer of a token, ours or an identity provider's, or the user behind an API key.
 *
 * The one idea: credentials only name a user; what that user may do stands in the database, and is believed for as long as nobody says that it changed,
 * and for a few seconds at most.
 */
import type { Context } from "hono";
import type { Actor } from "../../domain/access/schema.ts";
import { limited } from "../../domain/access/rules.ts";
import { FaultError } from "../../domain/errors.ts";
import { findApiKeyById, renewSecret, type ApiKey } from "../../db/api-keys.ts";
import type { Caller } from "../../db/callers.ts";
import { findIdentity } from "../../db/identities.ts";
import { providerOfIssuer } from "../../db/identity-providers.ts";
import { ruleHolds } from "../../db/identity-rules.ts";
import { remembered } from "../../db/remembered.ts";
import { eachTogether } from "../../db/together.ts";
import { findUser, rootName, type UserRow } from "../../db/users.ts";
import { claimed } from "../../security/foreign-tokens.ts";
import { isMoved } from "../../security/moved-hashes.ts";
import { secretMatches } from "../../security/secrets.ts";
import type { ApiEnv, Standing } from "../http.ts";
import type { Hub } from "../ports.ts";

type Access = Pick<Hub, "db" | "reads" | "signer" | "passwords" | "foreign">;

const lasting: Standing = { endsAt: null, login: null, ruleId: null };

/** `endsAt`: when the credentials end by themselves. `description` is null where the wire answers the four characters `null`. */
export type Identity = { ok: true; actor: Actor; standing: Standing; endsAt: Date | null } | { ok: false; description: string | null };
const unknown = (description: string | null): Identity => ({ ok: false, description });

/** One per hub, so that all its routes look callers up together. */
const lookUps = new WeakMap<object, ReturnType<typeof lookingUp>>();

/** Who a request speaks for. Requests of one moment with the same credentials are looked up once, after all of them came. */
export function identify(hub: Access, c: Context<ApiEnv>): Identity | Promise<Identity> {
  const authorization = c.req.header("Authorization") ?? tokenInAddress(c);
  const apiKey = c.req.header("X-Api-Key");
  if (authorization !== undefined && (apiKey !== undefined || !authorization.startsWith(bearer))) return unknown(null);
  const known = lookUps.get(hub.reads) ?? lookingUp(hub);
  lookUps.set(hub.reads, known);
  return known(authorization ?? `${keyed}${apiKey ?? ""}`);
}

/** Credentials that are worth nothing are looked up each time: they may be worth something in a moment. */
const lookingUp = (hub: Access) =>
  remembered(
    eachTogether((word) => (word.startsWith(bearer) ? byToken(hub, word.slice(bearer.length)) : byApiKey(hub, word.slice(keyed.length)))),
    { changes: hub.reads.rights, endOf: (identity) => (identity.ok ? (identity.endsAt?.getTime() ?? Infinity) : null) },
  );
const bearer = "Bearer ";
const keyed = "key ";

/** Browsers cannot send headers with a WebSocket, so there, and nowhere else, the token may stand in the address. */
function tokenInAddress(c: Context<ApiEnv>): string | undefined {
  const isUpgrade = c.req.header("Upgrade")?.toLowerCase() === "websocket" && /^\/api\/v1\/(ws\/|logs\/stream$)/.test(c.req.path);
  const token =
    isUpgrade && c.req.header("X-Api-Key") === undefined ? (c.req.query("access_token") ?? c.req.query("authorization")) : undefined;
  return token === undefined ? undefined : `Bearer ${token.replace(/^Bearer /, "")}`;
}

/** The same caller with the rights of this moment; null when its user or its key is worth nothing any more. */
export async function actorAgain({ db }: Pick<Hub, "db">, { userId, apiKeyId }: Pick<Actor, "userId" | "apiKeyId">): Promise<Actor | null> {
  const key = apiKeyId === null ? null : await usableKey(db, apiKeyId);
  if (apiKeyId !== null && !key) return null;
  const user = await findUser(db, userId);
  return user ? actorOf(callerOf(user), key) : null;
}

async function usableKey(db: Hub["db"], id: string): Promise<ApiKey | null> {
  const key = await findApiKeyById(db, id);
  return key && !key.revokedAt && !key.expired ? key : null;
}

async function byToken(hub: Access, token: string): Promise<Identity> {
  const { issuer } = claimed(token);
  // Ours is a URN.
  if (issuer && /^https?:/.test(issuer)) return byForeignToken(hub, token, issuer);
  const verified = await hub.signer.verify(token).catch((error: unknown) => {
    if (error instanceof FaultError && error.fault.code === "unauthenticated") return null;
    throw error;
  });
  if (!verified) return unknown("error: invalid claims");
  const { uid, api_key_id, identity_rule_id, login = null, expiresAt } = verified;
  const key = api_key_id === undefined ? null : await usableKey(hub.db, api_key_id);
  if (api_key_id !== undefined && !key) return unknown("Invalid API key");
  if (identity_rule_id !== undefined && !(await ruleHolds(hub.db, identity_rule_id, uid))) return unknown("error: invalid claims");
  const caller = await hub.reads.caller(uid);
  const standing = { endsAt: identity_rule_id === undefined ? null : expiresAt, login, ruleId: identity_rule_id ?? null };
  return caller
    ? { ok: true, actor: actorOf(caller, key), standing, endsAt: earlier(expiresAt, key) }
    : unknown("error 404: user not found");
}

/** An access token that a provider made for this API, in the hands of somebody who logged in through it before. */
async function byForeignToken(hub: Access, token: string, issuer: string): Promise<Identity> {
  const provider = await providerOfIssuer(hub.db, issuer);
  if (!provider || provider.bearerAudiences.length === 0) return unknown("error: invalid claims");
  const expected = { issuer, audiences: provider.bearerAudiences, types: ["jwt", "at+jwt", "application/at+jwt"] };
  const verified = await hub.foreign.verify(token, expected).catch((error: unknown) => {
    if (error instanceof FaultError && error.fault.code === "identity_refused") return null;
    throw error;
  });
  const identity = verified && (await findIdentity(hub.db, issuer, verified.sub));
  const caller = identity && (await hub.reads.caller(identity.userId));
  const endsAt = new Date((verified?.exp ?? 0) * 1000);
  return caller ? { ok: true, actor: actorOf(caller, null), standing: { ...lasting, endsAt }, endsAt } : unknown("error: invalid claims");
}

async function byApiKey(hub: Access, encoded: string): Promise<Identity> {
  const found = await checkedKey(hub, encoded);
  if (!found.ok) return unknown(found.description);
  const { key } = found;
  const root = key.userId === null ? await findUser(hub.db, rootName) : null;
  const caller = key.userId === null ? root && callerOf(root) : await hub.reads.caller(key.userId);
  return caller ? { ok: true, actor: actorOf(caller, key), standing: lasting, endsAt: key.expiresAt } : unknown("Invalid API key");
}

const earlier = (end: Date, key: ApiKey | null): Date => (key?.expiresAt && key.expiresAt < end ? key.expiresAt : end);

interface RefusedKey {
  readonly ok: false;
  readonly malformed: boolean;
  readonly description: string;
}
export type ResolvedKey = { ok: true; user: UserRow; key: ApiKey } | RefusedKey;
const refused = (description: string, malformed = false): RefusedKey => ({ ok: false, malformed, description });

/** `base64(key:secret)`. A key without a user speaks for root. */
export async function resolveApiKey(hub: Access, encoded: string): Promise<ResolvedKey> {
  const checked = await checkedKey(hub, encoded);
  if (!checked.ok) return checked;
  const user = await findUser(hub.db, checked.key.userId ?? rootName);
  return user ? { ok: true, user, key: checked.key } : refused("Invalid API key");
}

async function checkedKey(hub: Access, encoded: string): Promise<{ ok: true; key: ApiKey } | RefusedKey> {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(encoded)) return refused("Invalid API key format", true);
  const [word, secret, ...rest] = Buffer.from(encoded, "base64").toString("utf8").split(":");
  if (!word || !secret || rest.length > 0) return refused("API key must be in format base64(key:secret)", true);
  const key = await hub.reads.apiKey(word);
  if (!key) return refused("Invalid API key");
  if (!(await secretMatches(secret, key.secretHash, hub.passwords))) return refused("Invalid API key secret");
  if (key.revokedAt) return refused("Api Key has been revoked");
  if (key.expired) return refused("Api Key has expired");
  if (isMoved(key.secretHash)) await renewSecret(hub.db, key.id, key.secretHash, await hub.passwords.hash(secret));
  return { ok: true, key };
}

const callerOf = ({ id: userId, username, email, project, roles, effectiveClaims: claims, isSuperUser }: UserRow): Caller => ({
  userId,
  username,
  email,
  project,
  roles,
  claims,
  isSuperUser,
});

const actorOf = (caller: Caller, key: ApiKey | null): Actor => limited({ ...caller, apiKeyId: key?.id ?? null }, key?.claims ?? null);
