/**
 * Waiting until an operation has ended.
 *
 * The one idea: the row is the truth; notifications only say when to look again.
 */
import { findOperation } from "../../db/operations.ts";
import { isSettled } from "../../domain/operations/rules.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import type { Hub } from "../ports.ts";

/** The operation as it is once it has ended, or when the signal is aborted. */
export async function settled(hub: Pick<Hub, "db" | "notifications" | "closing">, id: string, signal: AbortSignal): Promise<Operation> {
  const ends = AbortSignal.any([signal, hub.closing]);
  for (;;) {
    const operation = unwrap(await findOperation(hub.db, id));
    if (isSettled(operation.state) || ends.aborted) return operation;
    await hub.notifications.next(ends);
  }
}
