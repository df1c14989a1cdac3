/** The operation that a route is about: whoever may see all sees those of their project, others those that they asked for, and no trace of the rest. */
import { readOperation } from "../../db/operations.ts";
import { holds } from "../../domain/access/rules.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { FaultError, unwrap } from "../../domain/errors.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import type { Hub } from "../ports.ts";

export async function found({ db }: Pick<Hub, "db">, id: string, actor: Actor): Promise<Operation> {
  const { operation, actorId } = unwrap(await readOperation(db, id));
  if (operation.project === actor.project && (actorId === actor.userId || holds(actor, "JOB_MANAGER_LIST"))) return operation;
  throw new FaultError({ code: "operation_not_found", message: `There is no operation ${id}.`, subject: id });
}

/** What whoever asks must hold to end an operation, or to decide about one of its steps. */
export const ending = { claims: ["JOB_MANAGER_DELETE", "JOB_MANAGER_LIST_OWN"], any: true } as const;
