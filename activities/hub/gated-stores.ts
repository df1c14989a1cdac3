/**
 * The stores as the hub itself moves bytes with them: for exports, collections and scrubs, within the limits of each store.
 *
 * The one idea: the hub is one more that shares a limit, and takes no more than its part while hosts transfer.
 */
import type { Database } from "../../db/connect.ts";
import { shareOf } from "../../db/store-shares.ts";
import { gatedStore, openStoreGate, type StoreGate } from "../../images/store-gate.ts";
import type { ObjectStore } from "../../stores/object-store.ts";

/** As soon as hosts hear of it. */
const askAgainMs = 15_000;

export interface GatedStores<S> {
  open(storeId: string): Promise<S>;
  /** Null where the store has no limits. */
  gate(storeId: string): Promise<StoreGate | null>;
}

export function gatedStores<S extends Pick<ObjectStore, "read" | "write">>(
  db: Database,
  open: (storeId: string) => Promise<S>,
): GatedStores<S> {
  const gates = new Map<string, StoreGate>();
  const gate = async (storeId: string) => {
    const share = await shareOf(db, storeId);
    if (!share) return null;
    const known = gates.get(storeId) ?? openStoreGate(share);
    known.set(share);
    gates.set(storeId, known);
    return renewed(known, () => shareOf(db, storeId));
  };
  return {
    gate,
    open: async (storeId) => {
      const store = await open(storeId);
      const own = await gate(storeId);
      return own ? gatedStore(store, own) : store;
    },
  };
}

/** What lasts for hours hears of those who come and go meanwhile. */
function renewed(gate: StoreGate, ask: () => Promise<Parameters<StoreGate["set"]>[0] | null>): StoreGate {
  let askedAt = performance.now();
  const renew = async () => {
    if (performance.now() - askedAt < askAgainMs) return;
    askedAt = performance.now();
    gate.set((await ask()) ?? { bytesPerSecond: null, requests: null });
  };
  return {
    ...gate,
    enter: async (signal) => {
      await renew();
      return gate.enter(signal);
    },
    take: async (bytes, signal) => {
      await renew();
      return gate.take(bytes, signal);
    },
  };
}
