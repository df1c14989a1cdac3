/**
 * Operations that another operation asks for and waits for.
 *
 * The one idea: it is asked for under a key made of the first one's id, so however often an activity runs again, there is one; and whoever cancels the first
 * cancels it too.
 */
import { setTimeout as after } from "node:timers/promises";
import { Context } from "@temporalio/activity";
import type { z } from "zod";
import type { Database } from "../../db/connect.ts";
import { findOperation, type OperationRow } from "../../db/operations.ts";
import type { Actor } from "../../domain/access/schema.ts";
import { isCode, unwrap, type Fault, type Result } from "../../domain/errors.ts";
import { isSettled } from "../../domain/operations/rules.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import type { Holding } from "./permission.ts";

/** Who asks, under a key by which the same is asked once. */
export interface ByKey {
  readonly actor: Actor;
  readonly requestId: string | null;
  readonly idempotency: { readonly key: string; readonly route: string; readonly body: unknown };
}
/** In the name of whoever asked for the first one, with what they held then. */
export function askedFor(
  {
    operation,
    actorId: userId,
    requestId,
    holder,
  }: Pick<OperationRow, "operation" | "actorId" | "requestId"> & { readonly holder: z.infer<typeof Holding> },
  route: string,
): ByKey {
  const { actor: username, project, id: key } = operation;
  const { roles, claims, everything: isSuperUser } = holder;
  const actor = { userId, username, email: "", project, roles, claims, isSuperUser, apiKeyId: null };
  return { actor, requestId, idempotency: { key, route, body: null } };
}

/** The other operation tells its end in its row; nobody who waits for one notices half a second. */
const lookEveryMs = 500;

interface Waiting {
  readonly db: Database;
  readonly cancel: (operationId: string, asked: ByKey) => Promise<Result<Operation>>;
}

export function faultBehind({ id, state, fault }: Operation): Fault | null {
  if (state === "done") return null;
  if (state === "cancelled") return { code: "operation_cancelled", message: `The operation ${id} was cancelled.` };
  return fault && isCode(fault.code)
    ? { code: fault.code, message: fault.message }
    : { code: "internal", message: `The operation ${id} failed.` };
}

/** Waits for its end; whoever cancels the waiting cancels it too. */
export async function settledOf({ db, cancel }: Waiting, id: string, asked: ByKey): Promise<Operation> {
  const context = Context.current();
  for (let told = false; ;) {
    const operation = unwrap(await findOperation(db, id));
    if (isSettled(operation.state)) return operation;
    const { aborted, reason } = context.cancellationSignal;
    const wanted = context.cancellationDetails?.cancelRequested === true;
    // This worker ends, or was given up: another one waits on, and the other operation goes on.
    if (aborted && !wanted) throw reason;
    // Refused only where it has just ended.
    if (wanted && !told) await cancel(id, asked);
    told ||= wanted;
    await after(lookEveryMs);
  }
}
