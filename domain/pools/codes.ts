/** Faults of pools and their leases. */
import type { CodeFacts } from "../errors.ts";

export const poolCodes = {
  pool_not_found: { kind: "not_found", remedy: "`drover pool list` shows the pools of this project." },
  pool_exists: { kind: "conflict", remedy: "Choose another name, or change the pool that has it with `drover pool edit`." },
  pool_ending: {
    kind: "conflict",
    remedy: "The pool was deleted and waits for its last machines: lease from another, or make one of another name.",
  },
  pool_empty: {
    kind: "limited",
    remedy: "Ask again in a moment, or raise the pool's idle minimum or its maximum; `drover pool show` says why no machine is idle.",
  },
  lease_not_found: { kind: "not_found", remedy: "`drover pool show` lists the leases; one that ended is not told any more." },
} as const satisfies Record<string, CodeFacts>;
