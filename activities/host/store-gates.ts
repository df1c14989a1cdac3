/**
 * The gates of the stores that this process moves bytes with, with limits as the hub told them last.
 *
 * The one idea: one gate per store, shared by all transfers here; the hub divides the limit among hosts, and each keeps to its part.
 */
import type { GrantAnswer } from "../../domain/hosts/schema.ts";
import { openStoreGate, type StoreGate } from "../../images/store-gate.ts";

export interface StoreGates {
  /** Takes what the hub told with a grant; answers the gate to pass from now on, null where the store has no limits. */
  learn(share: GrantAnswer["share"]): StoreGate | null;
}

export function openStoreGates(): StoreGates {
  const gates = new Map<string, StoreGate>();
  return {
    learn: (share) => {
      if (!share) return null;
      const known = gates.get(share.storeId);
      known?.set(share);
      const gate = known ?? openStoreGate(share);
      gates.set(share.storeId, gate);
      return gate;
    },
  };
}
