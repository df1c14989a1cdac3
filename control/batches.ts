/**
 * Lets operations fall out of their batch, each into the workflow of its own.
 *
 * The one idea: a batch only saves work. Whatever it does not bring to its end, be it for a fault, a cancel, a lost host, or because the batch itself was ended,
 * its operation's own workflow does, which waits, parks and takes back like any other.
 */
import { batchesUnderWay, leaveBatch, strayFromBatches, type Leaving } from "../db/batches.ts";
import type { Database } from "../db/connect.ts";
import type { Intent } from "../db/intents.ts";
import { findOperation } from "../db/operations.ts";
import { unwrap } from "../domain/errors.ts";
import { launch, statusOf, type Control } from "./start.ts";

/** Starts of workflows at once: each is a call and a write. */
const startsAtOnce = 8;
/** What one pass does at most. */
const perPass = 200;
/** The start of a batch is tried for five seconds. One that is not there after twice the time never will be. */
const batchAgeMs = 10_000;

/** Each falls out and is started; what cannot be started now, the sweep starts. */
export async function handOver(control: Control, leaving: Leaving): Promise<void> {
  const fallen = await control.db.transaction((tx: Database) => leaveBatch(tx, leaving));
  const next = fallen.values();
  await Promise.all(
    Array.from({ length: startsAtOnce }, async () => {
      for (const intent of next) await startAlone(control, intent);
    }),
  );
}

async function startAlone(control: Control, intent: Intent): Promise<void> {
  const { operationId } = intent;
  try {
    await launch(control, intent, unwrap(await findOperation(control.db, operationId)));
  } catch (cause) {
    control.log.warn({ event: "operation.start_failed", operationId, err: cause }, "the workflow could not be started; the sweep will");
  }
}

/** Operations that are cancelled, or whose host is lost, and those of batches that have ended from outside or were never started. */
export async function sweepBatches(control: Control): Promise<void> {
  const stray = await strayFromBatches(control.db, perPass);
  if (stray.length > 0) await handOver(control, { operationIds: stray });
  for (const batch of await batchesUnderWay(control.db, batchAgeMs)) {
    const status = await statusOf(control, batch);
    if (status !== "RUNNING" && status !== "PAUSED") await handOver(control, { batch });
  }
}
