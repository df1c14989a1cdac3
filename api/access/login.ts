/**
 * Logging in: by password, by API key or as an identity provider's person, quickly for whoever is right and slowly for whoever guesses.
 *
 * The one idea: nobody sleeps in a request, and wrong passwords count for the address that they come from: a guesser is told to wait and gets one try
 * a second, whoever logs in elsewhere notices nothing, and a right password works at once. A name that nobody has is counted and hashed for like any other.
 */
import { createHash } from "node:crypto";
import { FaultError, ok, refuse, type Result } from "../../domain/errors.ts";
import { countTry, forgetGuesses, guessKey } from "../../db/guesses.ts";
import { isBelieved } from "../../db/identities.ts";
import { findUser, renewPassword, type UserRow } from "../../db/users.ts";
import { isMoved } from "../../security/moved-hashes.ts";
import type { UserClaims } from "../../security/user-tokens.ts";
import type { Hub } from "../ports.ts";
import { networkOf } from "../source.ts";

export interface IssuedToken {
  readonly token: string;
  readonly expiresAt: Date;
  readonly user: UserRow;
}

export const toldToken = ({ token, expiresAt, user }: IssuedToken) => ({ token, expiresAt, username: user.username });

const wrong = { code: "unauthenticated", message: "Invalid user or Password" } as const;

export function logins(hub: Pick<Hub, "db" | "signer" | "passwords" | "settings">) {
  const { db, passwords, settings } = hub;

  /** `source`: the address that the request came from. */
  async function byPassword(word: string, password: string, source: string): Promise<Result<IssuedToken>> {
    const user = await findUser(db, word);
    const stored = user?.passwordHash ?? null;
    // Clients that log in before every request are right each time: they cost no row.
    if (user && stored !== null && passwords.remembers(password, stored)) return begun(user);
    const key = guessKey(user?.id ?? word.toLowerCase(), networkOf(source));
    const { allowed, lockedMs } = await countTry(db, key, settings.guard);
    if (!allowed) return tooMany(lockedMs);
    const right = await passwords.matches(password, stored);
    if (!right || !user) return lockedMs > 0 ? tooMany(lockedMs) : refuse(wrong);
    await forgetGuesses(db, key);
    return begun(stored !== null && isMoved(stored) ? await renewed(user, stored, password) : user);
  }
  /** Of an imported installation: this once its hash was good enough. */
  async function renewed(user: UserRow, stored: string, password: string): Promise<UserRow> {
    const passwordHash = await passwords.hash(password);
    return (await renewPassword(db, user.id, stored, passwordHash)) ? { ...user, passwordHash } : user;
  }
  const begun = async (user: UserRow): Promise<Result<IssuedToken>> =>
    ok(await issue(user, { login: { since: Math.floor(Date.now() / 1000), mark: markOf(user) } }));

  /** A new token for one that is still good, as long as the login has not lasted too long and what it began with still holds. */
  async function renew(token: string): Promise<Result<IssuedToken>> {
    const ended = (message: string) => refuse({ code: "unauthenticated", message });
    const { uid, login } = await hub.signer.verify(token);
    const user = await findUser(db, uid);
    if (!login || !user) return ended("Only a person's login can be renewed.");
    if ("identity" in login) {
      if (!(await isBelieved(db, login.identity, user.id))) return ended("The identity provider of this login was removed.");
    } else if (login.mark !== markOf(user)) return ended("The password has changed since.");
    const leftMs = login.since * 1000 + settings.loginLimitMs - Date.now();
    if (leftMs <= 0) return ended("The login has lasted as long as it may.");
    return ok(await issue(user, { login }, Math.min(settings.tokenLifetimeMs, leftMs)));
  }

  async function issue(user: UserRow, of: TokenOrigin, lifetimeMs = settings.tokenLifetimeMs): Promise<IssuedToken> {
    const claims = { email: user.email, username: user.name, uid: user.id, roles: user.roles, claims: user.effectiveClaims };
    return { ...(await hub.signer.issue({ ...claims, ...of }, lifetimeMs)), user };
  }
  return { byPassword, renew, issue };
}

/** What a token goes back to. */
type TokenOrigin = Pick<UserClaims, "api_key_id" | "identity_rule_id" | "login">;

/** Changes with the password and tells nothing of it: what it is made of is itself a salted, slow hash. */
export const markOf = ({ passwordHash }: Pick<UserRow, "passwordHash">): string =>
  createHash("sha256")
    .update(`login ${passwordHash ?? ""}`)
    .digest("base64url")
    .slice(0, 16);

export type Logins = ReturnType<typeof logins>;

function tooMany(leftMs: number): Result<never> {
  const retryAfterSeconds = Math.ceil(leftMs / 1000);
  return refuse({
    code: "too_many_attempts",
    message: `Too many failed logins: try again in ${retryAfterSeconds} s.`,
    details: { retryAfterSeconds },
  });
}

/** Of a token that is given to us: garbage is the caller's mistake, a foreign or old one is nobody's. */
export async function validateToken(hub: Pick<Hub, "db" | "signer">, token: string): Promise<"valid" | "garbage" | "invalid"> {
  const parts = token.split(".");
  if (parts.length !== 3 || !parts.every((part) => /^[A-Za-z0-9_-]+$/.test(part)) || !isJson(parts[1] ?? "")) return "garbage";
  try {
    const { uid } = await hub.signer.verify(token);
    return (await findUser(hub.db, uid)) ? "valid" : "invalid";
  } catch (error) {
    if (error instanceof FaultError && error.fault.code === "unauthenticated") return "invalid";
    throw error;
  }
}

function isJson(part: string): boolean {
  try {
    return typeof JSON.parse(Buffer.from(part, "base64url").toString("utf8")) === "object";
  } catch {
    return false;
  }
}
