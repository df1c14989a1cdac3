/**
 * Whether an action takes a machine from the operation that holds it, or is refused.
 *
 * The one idea: what pushes others aside takes none beside it from the moment it is asked for, also while it still waits for the others to go. So a machine
 * is on its way to one end only.
 */
import type { Database } from "../db/connect.ts";
import { busy, holdersOf } from "../db/holds.ts";
import { readOperation, unsettledOperations } from "../db/operations.ts";
import { unwrap } from "../domain/errors.ts";
import type { Machine, MachineAction } from "../domain/machines/schema.ts";
import { holdModeOf, preempts } from "../domain/operations/rules.ts";
import type { Operation } from "../domain/operations/schema.ts";

/** The caller has locked the machine's row. */
export async function mustPushAside(tx: Database, { id, name }: Machine, action: MachineAction): Promise<boolean> {
  const pushing = await pushingAside(tx, id);
  if (pushing) throw busy("machine", name, { operationId: pushing.id, ...pushing });
  const mode = holdModeOf(action.verb);
  const holder = (await holdersOf(tx, { kind: "machine", subjectId: id })).find(
    (other) => mode === "exclusive" || other.mode === "exclusive",
  );
  if (!holder) return false;
  if (!preempts(action.verb, isForced(action)) || holder.verb === "provision") throw busy("machine", name, holder);
  return true;
}

/** A retire or a forced stop of the machine that has not ended. */
async function pushingAside(tx: Database, machineId: string): Promise<Operation | null> {
  for (const operation of await unsettledOperations(tx, { machineId })) {
    const { action } = unwrap(await readOperation(tx, operation.id)).input;
    if (preempts(operation.verb, isForced(action))) return operation;
  }
  return null;
}

const isForced = (action: unknown): boolean =>
  typeof action === "object" && action !== null && "mode" in action && action.mode !== "graceful";
