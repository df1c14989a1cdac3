/** Changes what one host keeps in its cache: removes what nobody uses, pins, unpins. */
import { lossOf } from "../host-loss.ts";
import { runOperation } from "../operation.ts";
import type { OperationInput } from "../records.ts";
import { onHost } from "../proxies.ts";

/** `digests` null: every image. */
export type CacheChange =
  | { readonly act: "prune"; readonly digests: readonly string[] | null; readonly unusedForMs: number; readonly dryRun: boolean }
  | { readonly act: "pin" | "unpin"; readonly digests: readonly string[] };

export interface CacheInput extends OperationInput {
  readonly hostId: string;
  readonly change: CacheChange;
}

export interface Pruned {
  readonly removed: readonly { readonly digest: string; readonly bytes: number }[];
  readonly removedBytes: number;
  /** With the reason: used, pinned, or used too short a time ago. */
  readonly kept: readonly { readonly digest: string; readonly bytes: number; readonly why: "used" | "pinned" | "recent" }[];
  readonly dryRun: boolean;
}

/** What a change of a cache asks of a host. Implemented in `activities/host/cache.ts`. */
export interface CacheKeepingActivities {
  /** Oldest first; never what an operation uses or what is pinned. Again it finds less and says so. */
  pruneCache(input: { operationId: string; change: Extract<CacheChange, { act: "prune" }> }): Promise<Pruned>;
  pinImages(input: { operationId: string; change: Extract<CacheChange, { act: "pin" | "unpin" }> }): Promise<void>;
}

export async function cache(input: CacheInput): Promise<Record<string, unknown>> {
  const { operationId, hostId, change, subject = "" } = input;
  const host = onHost<CacheKeepingActivities>(hostId, subject);
  return runOperation(input, async ({ must }) => {
    const on = lossOf(hostId, input.onFault);
    if (change.act === "prune") return { hostId, ...(await must("prune", () => host.pruneCache({ operationId, change }), { on })) };
    await must(change.act, async () => ({ changed: await host.pinImages({ operationId, change }) }), { on });
    return { hostId, digests: change.digests };
  });
}
