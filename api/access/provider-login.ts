/**
 * Logging in as a person whom an identity provider vouches for.
 *
 * The one idea: the provider's ID token is worth one login, then it is used up; from there on it is a login of ours like any other. Who it is, which roles
 * the groups give, and that it was told, are one transaction.
 */
import { linkOf, personOf, rolesAfter, rolesOf, type Person } from "../../domain/access/linking.ts";
import type { IdentityProvider, ProviderLogin } from "../../domain/access/identity.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { recordAudit } from "../../db/audit.ts";
import type { Database } from "../../db/connect.ts";
import { recordEvent } from "../../db/events.ts";
import { findIdentity, hasIdentity, keepIdentity, lockSubject, takeOnce } from "../../db/identities.ts";
import { findProvider } from "../../db/identity-providers.ts";
import { unknownRoles } from "../../db/roles.ts";
import { changeUser, createUser, findUser, type UserRow } from "../../db/users.ts";
import { toleranceSeconds } from "../../security/foreign-tokens.ts";
import type { Hub } from "../ports.ts";
import { aboutUser } from "../told.ts";
import { brief, unverified, type Called } from "./claimant.ts";
import type { IssuedToken, Logins } from "./login.ts";

/** Somebody who logs in exchanges the token within seconds; a minute more is for a slow network and clocks that differ. */
const freshSeconds = 120;

export async function logInByProvider(
  hub: Pick<Hub, "db" | "foreign" | "reads">,
  login: Logins,
  { provider: name, idToken }: ProviderLogin,
  { claimant, ...from }: Called,
): Promise<IssuedToken> {
  claimant(unverified(idToken));
  const provider = await findProvider(hub.db, name);
  const { issuer, clientId } = provider;
  const expected = { issuer, audiences: [clientId], types: ["jwt"], maxAgeSeconds: freshSeconds };
  const claims = await hub.foreign.verify(idToken, expected);
  claimant({ subject: `${provider.name}: ${brief(claims.sub)}`, verified: true });
  // Of a token for several, it must be this client that it was given to; and word of a logout is no login.
  if ((claims["azp"] ?? clientId) !== clientId || (Array.isArray(claims.aud) && claims.aud.length > 1 && claims["azp"] === undefined))
    throw refused("The token was given to another client.");
  if (claims["events"] !== undefined) throw refused("The token is no ID token.");
  const issued = await hub.db.transaction(async (tx) => {
    const signed = idToken.slice(0, idToken.lastIndexOf("."));
    if (!(await takeOnce(tx, issuer, signed, new Date((claims.exp + toleranceSeconds) * 1000))))
      throw refused("The token was exchanged already.");
    const { user, identityId } = await arrive(tx, provider, personOf(claims, provider));
    const record = { actor: user.username, action: "login.provider", subject: `${provider.name}: ${brief(claims.sub)}` };
    await recordAudit(tx, { ...record, outcome: "done", ...from });
    return login.issue(user, { login: { since: Math.floor(Date.now() / 1000), identity: identityId } });
  });
  // Groups are roles.
  hub.reads.rights.tell();
  return issued;
}

/** The user whom this person is, with the roles of this moment. */
async function arrive(tx: Database, provider: IdentityProvider, person: Person): Promise<{ user: UserRow; identityId: string }> {
  const { issuer } = provider;
  await lockSubject(tx, issuer, person.subject);
  const wanted = rolesOf(person.groups, provider.groupRoles);
  const gone = await unknownRoles(tx, wanted);
  const roles = wanted.filter((role) => !gone.includes(role));
  const known = await findIdentity(tx, issuer, person.subject);
  const before = await userOf(tx, provider, person, { linked: known?.userId ?? null, roles });
  const after = rolesAfter(before.roles, known?.roles ?? [], roles);
  await changeUser(tx, before.id, { roles: after.roles });
  const { id: identityId } = await keepIdentity(tx, { issuer, subject: person.subject, userId: before.id, roles: after.byGroups });
  const user = await findUser(tx, before.id);
  if (!user) throw refused("The user of this person was removed meanwhile.");
  return { user, identityId };
}

async function userOf(
  tx: Database,
  provider: IdentityProvider,
  person: Person,
  { linked, roles }: { linked: string | null; roles: readonly string[] },
): Promise<UserRow> {
  const holder = person.email === null ? null : await findUser(tx, person.email);
  const sameEmail = holder?.email.toLowerCase() === person.email?.toLowerCase() ? holder : null;
  const byEmail = sameEmail && { ...sameEmail, otherSubject: await hasIdentity(tx, provider.issuer, sameEmail.id) };
  const nameIsTaken = person.username !== null && (await findUser(tx, person.username)) !== null;
  const link = unwrap(linkOf({ provider, person, linked, byEmail, nameIsTaken, roles }));
  const user = link.as === "made" ? await make(tx, person, link.username) : await findUser(tx, link.userId);
  if (user) return user;
  throw refused("The user of this person was made or removed at the same moment: log in again.");
}

async function make(tx: Database, { name, email }: Person, username: string): Promise<UserRow | null> {
  const id = crypto.randomUUID();
  // An address that nobody verified is nobody's: kept here, it would be taken from the one whose it is.
  const address = email ?? `${id}@unverified.invalid`;
  const user = await createUser(tx, { id, username, name: name ?? username, email: address, passwordHash: null, roles: [], claims: [] });
  if (user) {
    const { subject: _, ...event } = aboutUser("added", user);
    await recordEvent(tx, { ...event, project: user.project });
  }
  return user;
}

const refused = (message: string) => new FaultError({ code: "identity_refused", message });
