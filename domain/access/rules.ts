/**
 * Who may do what, which words name a user, and how long a guesser of passwords has to wait. Pure.
 *
 * The one idea: permission is a comparison of two lists of words, roles and claims, each asked for as "all of" or "any of"; a super user passes both.
 */
import { normalise } from "../catalog/rules.ts";
import { ok, refuse, type Result } from "../errors.ts";
import { superUserRole, type ClaimId } from "./claims.ts";

/** What a route asks for. `any`: one of the claims is enough; otherwise all are needed. */
export interface Needs {
  readonly claims?: readonly ClaimId[];
  readonly any?: boolean;
  readonly superUser?: boolean;
}

export interface Held {
  readonly claims: readonly string[];
  readonly isSuperUser: boolean;
}

/** The answer tells what is missing in the words that clients of the wire know. */
export function mayUse(held: Held, needs: Needs): Result<void> {
  if (held.isSuperUser) return ok(undefined);
  if (needs.superUser) return lacking("roles (AND)", [superUserRole]);
  const wanted = needs.claims ?? [];
  const missing = wanted.filter((claim) => !holds(held, claim));
  if (needs.any ? missing.length < Math.max(wanted.length, 1) : missing.length === 0) return ok(undefined);
  return lacking(`claims (${needs.any ? "OR" : "AND"})`, missing);
}

export const holds = (held: Held, claim: ClaimId): boolean => held.isSuperUser || held.claims.some((own) => own.toUpperCase() === claim);

const lacking = (what: string, missing: readonly string[]) =>
  refuse({ code: "forbidden", message: `User does not contain enough permissions for ${what}, missing [${missing.join(", ")}]` });

/**
 * What is left of a user's rights under a key that is limited to some claims: those that both have. Nobody is a super user by such a key.
 * Its other roles stay: they only tell which images it may see, and only where it holds a claim for that.
 */
export function limited<A extends Held & { readonly roles: readonly string[] }>(actor: A, to: readonly string[] | null): A {
  if (to === null) return actor;
  const has = new Set(to.map((claim) => claim.toUpperCase()));
  const claims = actor.isSuperUser ? [...has] : actor.claims.filter((claim) => has.has(claim.toUpperCase()));
  return { ...actor, claims, roles: actor.roles.filter((role) => role !== superUserRole), isSuperUser: false };
}

/** Ids of roles and claims, and the public half of API keys, are names in this form. */
export const accessName = (name: string): string => normalise(name).toUpperCase();

export interface PasswordRules {
  readonly minimumLength: number;
  readonly maximumLength: number;
  readonly lowercase: boolean;
  readonly uppercase: boolean;
  readonly number: boolean;
  readonly special: boolean;
}

/** Everything that a new password lacks, so that nobody corrects one thing per request. */
export function passwordFaults(password: string, rules: PasswordRules): string[] {
  const wants = (short: boolean, words: string) => (short ? [words] : []);
  return [
    ...wants(password.length < rules.minimumLength, `Password must be at least ${rules.minimumLength} characters long`),
    ...wants(password.length > rules.maximumLength, `Password must be at most ${rules.maximumLength} characters long`),
    ...wants(rules.lowercase && !/\p{Ll}/u.test(password), "Password must contain at least one lowercase letter"),
    ...wants(rules.uppercase && !/\p{Lu}/u.test(password), "Password must contain at least one uppercase letter"),
    ...wants(rules.number && !/\p{Nd}/u.test(password), "Password must contain at least one number"),
    ...wants(rules.special && !/[^\p{L}\p{N}]/u.test(password), "Password must contain at least one special character"),
  ];
}

export interface Guard {
  readonly attempts: number;
  readonly lockoutMs: number;
  readonly incremental: boolean;
}

/** How much longer a user who failed too often has to wait; zero when it may try. */
export function waitMs(guard: Guard, failures: { count: number; sinceLastMs: number }): number {
  if (failures.count < guard.attempts) return 0;
  const factor = guard.incremental ? failures.count - guard.attempts + 1 : 1;
  return Math.max(0, guard.lockoutMs * factor - failures.sinceLastMs);
}
