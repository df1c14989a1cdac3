/** Brings an image into a host's cache, ready to clone. */
import { CancellationScope, workflowInfo } from "@temporalio/workflow";
import { lossOf } from "../host-loss.ts";
import { runOperation } from "../operation.ts";
import type { OperationInput } from "../records.ts";
import { quick } from "../proxies.ts";
import { fetchTo, type Fetched, type Wanted } from "./fetch.ts";

export interface PullInput extends OperationInput {
  readonly hostId: string;
  /** The prefetch that this is a part of: its operation is written as it begins. */
  readonly prefetchId?: string;
}

/** What a pull asks of the hub. Implemented in `activities/hub/catalog.ts`. */
export interface PullActivities {
  /** The version, if the one who asked may have it: roles, claims, taint, revocation. */
  authorisePull(input: { operationId: string }): Promise<Wanted>;
  /** Counts the download and remembers that the host has the image before it reports it. */
  recordCached(input: { operationId: string; hostId: string; fetched: Fetched }): Promise<void>;
}

/** What a prefetch's own pull asks of the hub. Implemented in `activities/hub/prefetch.ts`. */
export interface BeginActivities {
  /** Writes its operation, as a request would have done. */
  beginPull(input: { operationId: string; prefetchId: string; hostId: string; workflowId: string }): Promise<void>;
}

const hub = quick<PullActivities>();
const beginning = quick<BeginActivities>();

export async function pull(input: PullInput): Promise<Record<string, unknown>> {
  const { operationId, hostId, prefetchId } = input;
  if (prefetchId !== undefined) {
    const { workflowId } = workflowInfo();
    await CancellationScope.nonCancellable(() => beginning.beginPull({ operationId, prefetchId, hostId, workflowId }));
  }
  return runOperation(input, async (frame) => {
    const wanted = await frame.must("authorise", () => hub.authorisePull({ operationId }), { brief: true });
    const fetched = await fetchTo(lossOf(hostId, input.onFault), wanted, operationId, frame);
    await frame.conclude("record", async () => ({ recorded: await hub.recordCached({ operationId, hostId, fetched }) }));
    return { ...fetched, image: wanted.image, hostId };
  });
}
