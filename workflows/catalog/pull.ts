/** Brings an image into a host's cache, ready to clone. */
import { lossOf } from "../host-loss.ts";
import { runOperation } from "../operation.ts";
import type { OperationInput } from "../records.ts";
import { quick } from "../proxies.ts";
import { fetchTo, type Fetched, type Wanted } from "./fetch.ts";

export interface PullInput extends OperationInput {
  readonly hostId: string;
}

/** What a pull asks of the hub. Implemented in `activities/hub/catalog.ts`. */
export interface PullActivities {
  /** The version, if the one who asked may have it: roles, claims, taint, revocation. */
  authorisePull(input: { operationId: string }): Promise<Wanted>;
  /** Counts the download and remembers that the host has the image before it reports it. */
  recordCached(input: { operationId: string; hostId: string; fetched: Fetched }): Promise<void>;
}

const hub = quick<PullActivities>();

export async function pull(input: PullInput): Promise<Record<string, unknown>> {
  const { operationId, hostId } = input;
  return runOperation(input, async (frame) => {
    const wanted = await frame.must("authorise", () => hub.authorisePull({ operationId }));
    const fetched = await fetchTo(lossOf(hostId, input.onFault), wanted, operationId, frame);
    await frame.conclude("record", async () => ({ recorded: await hub.recordCached({ operationId, hostId, fetched }) }));
    return { ...fetched, image: wanted.image, hostId };
  });
}
