/**
 * What counts as one's own of a machine: its snapshots, and who else may reach it.
 *
 * The one idea: a claim has a twin for what one owns. Either opens the route; the twin alone reaches no machine of somebody else.
 */
import type { ClaimId } from "../../domain/access/claims.ts";
import { holds, type Needs } from "../../domain/access/rules.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { FaultError } from "../../domain/errors.ts";
import type { Machine } from "../../domain/machines/schema.ts";

const twins = {
  list: ["LIST_SNAPSHOT_VM", "LIST_OWN_VM_SNAPSHOT"],
  create: ["CREATE_SNAPSHOT_VM", "CREATE_OWN_VM_SNAPSHOT"],
  revert: ["REVERT_SNAPSHOT_VM", "REVERT_OWN_VM_SNAPSHOT"],
  delete: ["DELETE_SNAPSHOT_VM", "DELETE_OWN_VM_SNAPSHOT"],
  clear: ["DELETE_ALL_SNAPSHOTS_VM", "DELETE_ALL_OWN_VM_SNAPSHOTS"],
} as const satisfies Record<string, readonly [ClaimId, ClaimId]>;
export type SnapshotAct = keyof typeof twins;

export const eitherTwin = (act: SnapshotAct): Needs => ({ claims: twins[act], any: true });

export function mustOwn(actor: Actor, { name, owner }: Pick<Machine, "name" | "owner">, act: SnapshotAct): void {
  const [all, own] = twins[act];
  if (holds(actor, all) || owner === actor.userId) return;
  throw new FaultError({ code: "not_owner", message: `${name} belongs to somebody else, and ${own} reaches only one's own machines.` });
}

/** Who else reaches a machine is its owner's to say: whoever could change that could lock the owner's colleagues out, or strangers in. */
export function mustGuard(actor: Actor, { name, owner }: Pick<Machine, "name" | "owner">): void {
  if (actor.isSuperUser || owner === actor.userId) return;
  throw new FaultError({ code: "not_owner", message: `Only the owner of ${name} says who may reach it.` });
}
