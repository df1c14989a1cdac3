/** Deletes the versions that no retention rule keeps; their bytes are collected later. */
import { runOperation } from "../operation.ts";
import { quick } from "../proxies.ts";
import type { OperationInput } from "../records.ts";

/** What retention asks of the hub. Implemented in `activities/hub/retain.ts`. */
export interface RetainActivities {
  /** Judges anew, and deletes; a version that is being pushed stays. Repeating it deletes what has fallen due since. */
  deleteUnkept(input: { operationId: string }): Promise<{ deleted: string[]; busy: string[] }>;
}

const hub = quick<RetainActivities>();

export async function retain(input: OperationInput): Promise<Record<string, unknown>> {
  const { operationId } = input;
  return runOperation(input, async ({ must }) => ({ ...(await must("delete", () => hub.deleteUnkept({ operationId }))) }));
}
