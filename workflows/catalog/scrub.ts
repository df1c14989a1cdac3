/**
 * Reads a share of a store, a different one each time, and has what is broken healed by hosts that have the images.
 *
 * The one idea: rot is met here before a user meets it; each healing is an operation of its own, on the host that can.
 */
import { runOperation } from "../operation.ts";
import { storeWork } from "../proxies.ts";
import type { OperationInput } from "../records.ts";
import type { ContentLook } from "./check.ts";

export interface ScrubInput extends OperationInput {
  readonly storeId: string;
  /** Of the store; null for the configured one. */
  readonly share: number | null;
}

/** What a scrub asks of the hub. Implemented in `activities/hub/check.ts`. */
export interface ScrubActivities {
  scrubStore(input: { operationId: string; step: string; share: number | null }): Promise<ContentLook>;
  /** Starts the healing of each damaged tree that a host has; answers those operations, and the trees that nobody has. */
  beginHealing(input: { operationId: string }): Promise<{ healing: string[]; unhealed: string[] }>;
}

const hub = storeWork<ScrubActivities>();

export async function scrub(input: ScrubInput): Promise<Record<string, unknown>> {
  const { operationId, share } = input;
  return runOperation(input, async ({ must }) => {
    const looked = await must("read", () => hub.scrubStore({ operationId, step: "read", share }));
    const begun = await must("heal", () => hub.beginHealing({ operationId }));
    return { ...looked, ...begun };
  });
}
