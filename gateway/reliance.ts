/**
 * Before a transfer may count on an object: nobody may be about to remove it.
 *
 * The one idea: a grant to write strikes the object from what is condemned, whether the store has it already or not; one whose removal has begun is waited for.
 */
import { setTimeout as delay } from "node:timers/promises";
import { countOn, forgetRemoved } from "../db/condemned.ts";
import type { Database } from "../db/connect.ts";
import { FaultError } from "../domain/errors.ts";
import type { GatewayStore } from "./stores.ts";

/** Longer than a sweep takes to remove what it claims at once, and shorter than a host waits for an answer. */
const patienceMs = 8_000;
const pauseMs = 250;
/** A removal takes seconds; after ten minutes whoever began it is dead, and its end is brought about here instead of with the next collection. */
const abandonedMs = 600_000;

export async function mayCountOn(
  db: Database,
  { storeId, store }: { storeId: string; store: Pick<GatewayStore, "remove"> },
  keys: readonly string[],
  waitMs = patienceMs,
): Promise<void> {
  const until = performance.now() + waitMs;
  for (;;) {
    const leaving = await countOn(db, storeId, keys);
    const [first] = leaving.filter(({ leavingMs }) => leavingMs < abandonedMs);
    for (const { key, leavingMs } of leaving) {
      if (leavingMs < abandonedMs) continue;
      await store.remove(key);
      await forgetRemoved(db, storeId, [key]);
    }
    if (!first) return;
    if (performance.now() > until) throw leavingFault(first.key);
    await delay(pauseMs);
  }
}

const leavingFault = (key: string) =>
  new FaultError({ code: "object_leaving", message: `The object ${key} is just being removed from its store.`, subject: key });
