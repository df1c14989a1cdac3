/**
 * Who may do what, and which words name a user. Pure.
 *
 * The one idea: permission is a comparison of two lists of words, roles and claims, each asked for as "all of" or "any of"; a super user passes both.
 */
import { normalise } from "../catalog/rules.ts";
import { ok, refuse, type Result } from "../errors.ts";
import { superUserRole, type ClaimId } from "./claims.ts";

/** The project that owns everything until more are made, and that the hub itself belongs to. */
export const defaultProject = "default";

/** What a route asks for. `any`: one of the claims is enough; otherwise all are needed. */
export interface Needs {
  readonly claims?: readonly ClaimId[];
  readonly any?: boolean;
  readonly superUser?: boolean;
  /** What it changes is every project's, such as a role or a host: members of other projects do not. */
  readonly hubWide?: boolean;
}

export interface Held {
  readonly claims: readonly string[];
  readonly isSuperUser: boolean;
  readonly project: string;
}

/** The answer tells what is missing in the words that clients of the wire know. */
export function mayUse(held: Held, needs: Needs): Result<void> {
  if (held.isSuperUser) return ok(undefined);
  if (needs.superUser) return lacking("roles (AND)", [superUserRole]);
  if (needs.hubWide && held.project !== defaultProject)
    return refuse({ code: "forbidden", message: `Only members of the project ${defaultProject} change what belongs to the whole hub` });
  const wanted = needs.claims ?? [];
  const missing = wanted.filter((claim) => !holds(held, claim));
  if (needs.any ? missing.length < Math.max(wanted.length, 1) : missing.length === 0) return ok(undefined);
  return lacking(`claims (${needs.any ? "OR" : "AND"})`, missing);
}

export const holds = (held: Pick<Held, "claims" | "isSuperUser">, claim: ClaimId): boolean =>
  held.isSuperUser || held.claims.some((own) => own.toUpperCase() === claim);

const lacking = (what: string, missing: readonly string[]) =>
  refuse({ code: "forbidden", message: `User does not contain enough permissions for ${what}, missing [${missing.join(", ")}]` });

/**
 * What is left of a user's rights under a key that is limited to some claims: those that both have. Nobody is a super user by such a key.
 * Its other roles stay: they only tell which images it may see, and only where it holds a claim for that.
 */
export function limited<A extends Pick<Held, "claims" | "isSuperUser"> & { readonly roles: readonly string[] }>(
  actor: A,
  to: readonly string[] | null,
): A {
  if (to === null) return actor;
  const has = new Set(to.map((claim) => claim.toUpperCase()));
  const claims = actor.isSuperUser ? [...has] : actor.claims.filter((claim) => has.has(claim.toUpperCase()));
  return { ...actor, claims, roles: actor.roles.filter((role) => role !== superUserRole), isSuperUser: false };
}

/** Whoever asks to see something, with what it holds at this moment. */
export interface Reader extends Held {
  readonly userId: string;
  readonly roles: readonly string[];
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
