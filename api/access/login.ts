/**
 * Logging in: by password or API key, quickly for whoever is right and slowly for whoever guesses.
 *
 * The one idea: nobody sleeps in a request. Whoever failed too often is told to wait and its password is not even looked at, unless it is the one
 * that was right a moment ago: a guesser cannot lock out a client that logs in before each request.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { waitMs } from "../../domain/access/rules.ts";
import { FaultError, ok, refuse, type Result } from "../../domain/errors.ts";
import { findUser, noteFailedLogin, noteGoodLogin, type UserRow } from "../../db/users.ts";
import type { Hub } from "../ports.ts";

export interface IssuedToken {
  readonly token: string;
  readonly expiresAt: Date;
  readonly user: UserRow;
}

/** Nobody waits longer, however often somebody else guessed at their name. */
const longestWaitMs = 60_000;
const wrong = { code: "unauthenticated", message: "Invalid user or Password" } as const;

export function logins(hub: Pick<Hub, "db" | "signer" | "passwords" | "settings">) {
  const { db, passwords, settings } = hub;
  const lastRight = rightOnes();

  async function byPassword(word: string, password: string): Promise<Result<IssuedToken>> {
    const user = await findUser(db, word);
    if (user && !lastRight.is(user, password)) {
      const left = Math.min(
        longestWaitMs,
        waitMs(settings.guard, { count: user.failedLogins, sinceLastMs: user.sinceFailureMs ?? Infinity }),
      );
      if (left > 0) return tooMany(left);
    }
    if (!(await passwords.matches(password, user?.passwordHash ?? null)) || !user) {
      if (user) await noteFailedLogin(db, user.id);
      return refuse(wrong);
    }
    lastRight.note(user, password);
    if (user.failedLogins > 0) await noteGoodLogin(db, user.id);
    return ok(await issue(user, null));
  }

  async function issue(user: UserRow, apiKeyId: string | null): Promise<IssuedToken> {
    const claims = { email: user.email, username: user.name, uid: user.id, roles: user.roles, claims: user.effectiveClaims };
    const issued = await hub.signer.issue({ ...claims, ...(apiKeyId === null ? {} : { api_key_id: apiKeyId }) }, settings.tokenLifetimeMs);
    return { ...issued, user };
  }
  return { byPassword, issue };
}

export type Logins = ReturnType<typeof logins>;

function tooMany(leftMs: number): Result<never> {
  const retryAfterSeconds = Math.ceil(leftMs / 1000);
  return refuse({
    code: "too_many_attempts",
    message: `Too many failed logins: try again in ${retryAfterSeconds} s.`,
    details: { retryAfterSeconds },
  });
}

/** More users than log in at one hub; bounds the memory. */
const rememberedUsers = 10_000;

/** The last right password of each user, as an HMAC under a key of this process and bound to the stored hash. */
function rightOnes() {
  const key = randomBytes(32);
  const marks = new Map<string, Buffer>();
  const markOf = (user: UserRow, password: string) =>
    createHmac("sha256", key)
      .update(user.passwordHash ?? "")
      .update("\0")
      .update(password)
      .digest();
  return {
    is: (user: UserRow, password: string): boolean => {
      const mark = marks.get(user.id);
      return mark !== undefined && timingSafeEqual(mark, markOf(user, password));
    },
    note: (user: UserRow, password: string): void => {
      if (marks.size >= rememberedUsers) marks.clear();
      marks.set(user.id, markOf(user, password));
    },
  };
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
