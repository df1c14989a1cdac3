/**
 * Who asks in the contract suite, from nobody to a super user.
 *
 * The one idea: `peer` differs from `owner` only in owning nothing, and `other project` may do everything but only elsewhere: what these two get beyond
 * `no role` is what belongs to nobody.
 */
import { seededClaimIds, type ClaimId } from "../../domain/access/claims.ts";
import { createUser } from "../../db/users.ts";
import type { Database } from "../../db/connect.ts";
import type { Actor } from "../../domain/access/schema.ts";
import type { Signer } from "../../security/user-tokens.ts";

export const callerNames = ["none", "no role", "other project", "reader", "peer", "owner", "manager", "admin"] as const;
export type CallerName = (typeof callerNames)[number];

export interface Caller {
  readonly actor: Actor;
  readonly token: string;
}
export type Callers = Readonly<Record<Exclude<CallerName, "none">, Caller>>;

/** The role that guarded things ask for. */
export const guild = "GUILD";
export const otherProject = "other";

/** Sees whatever may be seen, of everybody. */
const reading = seededClaimIds.filter((id) => (/(^|_)LIST(_|$)/.test(id) && id !== "JOB_MANAGER_LIST_OWN") || id === "READ_ONLY");
/** Works with machines and images, on top of the role USER. */
const working: readonly ClaimId[] = [
  "CREATE_VM",
  "DELETE_VM",
  "UPDATE_VM",
  "UPDATE_VM_STATES",
  "EXECUTE_COMMAND_VM",
  "PULL_CATALOG_MANIFEST",
  "PUSH_CATALOG_MANIFEST",
];

const users: Readonly<Record<Exclude<CallerName, "none">, { roles: readonly string[]; claims: readonly ClaimId[]; project?: string }>> = {
  "no role": { roles: [], claims: [] },
  "other project": { roles: ["ADMIN"], claims: seededClaimIds, project: otherProject },
  reader: { roles: [], claims: reading },
  peer: { roles: ["USER"], claims: working },
  owner: { roles: ["USER", guild], claims: working },
  manager: { roles: ["ADMIN"], claims: seededClaimIds },
  admin: { roles: ["SUPER_USER"], claims: seededClaimIds },
};

export async function makeCallers(db: Database, signer: Signer): Promise<Callers> {
  const made = Object.entries(users).map(async ([name, { roles, claims, project = "default" }]) => {
    const username = `caller-${name.replace(" ", "-")}`;
    const email = `${username}@example.com`;
    const id = crypto.randomUUID();
    const user = await createUser(db, { id, project, username, name: username, email, passwordHash: null, roles, claims });
    if (!user) throw new Error(`${username} was not made`);
    const { effectiveClaims, isSuperUser } = user;
    // No test lasts an hour.
    const { token } = await signer.issue({ uid: id, email, username, roles: user.roles, claims: effectiveClaims }, 3_600_000);
    const actor = { userId: id, username, email, project, roles: user.roles, claims: effectiveClaims, isSuperUser, apiKeyId: null };
    return [name, { actor, token }] as const;
  });
  return Object.fromEntries(await Promise.all(made)) as unknown as Callers;
}
