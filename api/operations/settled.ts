/**
 * Waiting until an operation has ended.
 *
 * The one idea: the row is the truth; notifications only say when to look again.
 */
import { findOperation } from "../../db/operations.ts";
import { isSettled } from "../../domain/operations/rules.ts";
import type { Operation } from "../../domain/operations/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { checkEveryMs } from "../middleware/standing.ts";
import type { Hub } from "../ports.ts";

/** The operation as it is once it has ended, or when the signal is aborted. `check` throws when its caller may not wait on. */
export async function settled(
  hub: Pick<Hub, "db" | "notifications" | "closing">,
  id: string,
  signal: AbortSignal,
  check: () => Promise<unknown>,
): Promise<Operation> {
  const ends = AbortSignal.any([signal, hub.closing]);
  let checkedAt = Date.now();
  for (;;) {
    if (Date.now() - checkedAt > checkEveryMs) {
      await check();
      checkedAt = Date.now();
    }
    const operation = unwrap(await findOperation(hub.db, id));
    if (isSettled(operation.state) || ends.aborted) return operation;
    await hub.notifications.next(ends);
  }
}
