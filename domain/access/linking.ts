/**
 * Which user somebody is whom an identity provider vouches for. Pure.
 *
 * The one idea: a subject that is linked is its user; an address links only where the provider says that it is verified, and never to a super user: who can
 * have an address changed at a provider must not become root here.
 */
import { ok, refuse, type Result } from "../errors.ts";

export interface Person {
  readonly subject: string;
  readonly username: string | null;
  readonly name: string | null;
  /** Null unless the provider says that it is verified. */
  readonly email: string | null;
  readonly groups: readonly string[];
}

/** Reads the claims of an ID token by the provider's words for them. */
export function personOf(
  claims: Readonly<Record<string, unknown>> & { readonly sub: string },
  { userNameClaim, groupsClaim }: { readonly userNameClaim: string; readonly groupsClaim: string },
): Person {
  const text = (name: string): string | null => {
    const value = Object.hasOwn(claims, name) ? claims[name] : null;
    return typeof value === "string" && value.trim() !== "" && value.length <= 255 ? value.trim() : null;
  };
  const groups = Object.hasOwn(claims, groupsClaim) ? claims[groupsClaim] : [];
  return {
    subject: claims.sub,
    username: text(userNameClaim),
    name: text("name"),
    email: claims["email_verified"] === true ? text("email") : null,
    groups: (Array.isArray(groups) ? groups : [groups]).filter((group) => typeof group === "string"),
  };
}

type GroupRoles = Readonly<Record<string, readonly string[]>>;

export function rolesOf(groups: readonly string[], groupRoles: GroupRoles): string[] {
  const named = ["*", ...groups.filter((group) => group !== "*")];
  return [...new Set(named.flatMap((group) => (Object.hasOwn(groupRoles, group) ? (groupRoles[group] ?? []) : [])))];
}

/** The roles of a user after a login: those by groups are exchanged, those that somebody gave by hand stay. */
export function rolesAfter(held: readonly string[], byGroupsBefore: readonly string[], byGroupsNow: readonly string[]) {
  const byHand = held.filter((role) => !byGroupsBefore.includes(role));
  return { roles: [...new Set([...byHand, ...byGroupsNow])], byGroups: byGroupsNow.filter((role) => !byHand.includes(role)) };
}

export interface LinkFacts {
  readonly provider: { readonly name: string; readonly makesUsers: boolean };
  readonly person: Person;
  /** The user that the subject is linked to. */
  readonly linked: string | null;
  /** The user who has the verified address. */
  readonly byEmail: { readonly id: string; readonly isSuperUser: boolean; readonly otherSubject: boolean } | null;
  /** Whether any user answers to the user name already. */
  readonly nameIsTaken: boolean;
  readonly roles: readonly string[];
}
export type Linking = { as: "known"; userId: string } | { as: "linked"; userId: string } | { as: "made"; username: string };

export function linkOf({ provider, person, linked, byEmail, nameIsTaken, roles }: LinkFacts): Result<Linking> {
  if (linked !== null) return ok({ as: "known", userId: linked });
  const no = (message: string) => refuse({ code: "identity_refused", message });
  if (byEmail?.isSuperUser) return no(`The address ${person.email} is a super user's, and an address never makes anybody a super user.`);
  if (byEmail?.otherSubject) return no(`The user with the address ${person.email} is another person of ${provider.name} already.`);
  if (byEmail) return ok({ as: "linked", userId: byEmail.id });
  if (!provider.makesUsers) return no(`There is no user for this person, and ${provider.name} makes none at a first login.`);
  if (person.username === null) return no(`The token does not say how the user is called, so ${provider.name} can make none.`);
  if (nameIsTaken) return no(`There is a user ${person.username} already who is not this person of ${provider.name}.`);
  if (roles.length === 0) return no(`None of the groups of ${person.username} has a role here.`);
  return ok({ as: "made", username: person.username });
}
