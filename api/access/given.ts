/**
 * What one user may give to another, or do to another.
 *
 * The one idea: rights are handed on and never made: who is no super user gives only what it holds, and touches only users who hold no more than it does.
 */
import { superUserRole } from "../../domain/access/claims.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { FaultError } from "../../domain/errors.ts";
import { findRole, unknownClaims, unknownRoles } from "../../db/roles.ts";
import { findUser, listUsers, type UserRow } from "../../db/users.ts";
import type { Hub } from "../ports.ts";
import { refusal } from "../wire/errors.ts";

/** Of the caller's project; a super user finds those of all. */
export async function foundUser(hub: Pick<Hub, "db">, word: string, actor: Actor): Promise<UserRow> {
  const user = await findUser(hub.db, word);
  if (!user || !sees(actor, user)) throw new FaultError({ code: "user_not_found", message: `There is no user ${word}.` });
  return user;
}

export const sees = (actor: Actor, user: Pick<UserRow, "project">): boolean => actor.isSuperUser || user.project === actor.project;

export const seenUsers = async ({ db }: Pick<Hub, "db">, actor: Actor): Promise<UserRow[]> =>
  (await listUsers(db)).filter((user) => sees(actor, user));

export function mustReach(actor: Actor, user: UserRow): void {
  if (actor.isSuperUser || (!user.isSuperUser && user.effectiveClaims.every((claim) => actor.claims.includes(claim)))) return;
  throw refusal(403, `error 403: ${user.username} holds rights that you do not hold`);
}

export async function checkGiven(hub: Hub, actor: Actor, roles: readonly string[], claims: readonly string[]): Promise<void> {
  const [role] = await unknownRoles(hub.db, roles);
  if (role !== undefined) throw refusal(400, `error 400: role ${role} does not exist`);
  const [claim] = await unknownClaims(hub.db, claims);
  if (claim !== undefined) throw refusal(400, `error 400: claim ${claim} does not exist`);
  if (actor.isSuperUser) return;
  const inherited = (await Promise.all(roles.map((id) => findRole(hub.db, id)))).flatMap((found) => found?.claims ?? []);
  const beyond = [...claims, ...inherited].find((id) => !actor.claims.includes(id));
  if (beyond !== undefined || roles.includes(superUserRole))
    throw refusal(403, `error 403: you cannot give away ${beyond ?? superUserRole}, which you do not hold`);
}
