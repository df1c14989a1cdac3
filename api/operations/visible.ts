/** The operation that a route is about: whoever may see all sees those of their project, others those that they asked for, and no trace of the rest. */
import { readOperation } from "../../db/operations.ts";
import { holds } from "../../domain/access/rules.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import type { Hub } from "../ports.ts";

async function read({ db }: Pick<Hub, "db">, id: string, actor: Actor): Promise<{ operation: Operation; isOwn: boolean }> {
  const { operation, actorId } = unwrap(await readOperation(db, id));
  const isOwn = actorId === actor.userId;
  if (operation.project === actor.project && (isOwn || holds(actor, "JOB_MANAGER_LIST"))) return { operation, isOwn };
  throw new FaultError({ code: "operation_not_found", message: `There is no operation ${id}.`, subject: id });
}

export const found = async (hub: Pick<Hub, "db">, id: string, actor: Actor): Promise<Operation> => (await read(hub, id, actor)).operation;

/** One that the caller may end, or decide about: their own, or any that they see by the claim for that. */
export async function endable(hub: Pick<Hub, "db">, id: string, actor: Actor): Promise<Operation> {
  const { operation, isOwn } = await read(hub, id, actor);
  if (isOwn || mayEndAll(actor)) return operation;
  throw new FaultError({ code: "not_owner", message: `The operation ${id} was asked for by somebody else.`, subject: id });
}
export const mayEndAll = (actor: Actor): boolean => holds(actor, "JOB_MANAGER_LIST") && holds(actor, "JOB_MANAGER_DELETE");

/** What whoever asks must hold to end an operation, or to decide about one of its steps. */
export const ending = { claims: ["JOB_MANAGER_DELETE", "JOB_MANAGER_LIST_OWN"], any: true } as const;
