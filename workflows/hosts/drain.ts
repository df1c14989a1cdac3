/**
 * Empties a host: nothing new comes, and what is there ends by itself, is stopped, or is retired.
 *
 * The one idea: the host is closed from the request on and until the operation settles, whichever way, so there is nothing to undo here. Nothing is moved: a
 * running machine cannot leave its Mac.
 */
import { CancellationScope, isCancellation } from "@temporalio/workflow";
import type { DrainPolicy } from "../../domain/hosts/rules.ts";
import { refusal } from "../faults.ts";
import { runOperation } from "../operation.ts";
import { quick, vigil } from "../proxies.ts";
import type { OperationInput } from "../records.ts";

export interface DrainInput extends OperationInput {
  readonly hostId: string;
  readonly machines: DrainPolicy;
  /** How long machines have to end by themselves. */
  readonly limitMs: number;
}

export interface Emptying {
  readonly operationId: string;
  readonly hostId: string;
  readonly machines: DrainPolicy;
  /** The steps of machines, one each; the first stands at `position`. */
  readonly steps: readonly string[];
  readonly position: number;
  readonly skip: readonly string[];
}

/** What a drain asks of the hub. Implemented in `activities/hub/hosts.ts`. */
export interface DrainActivities {
  /** Makes sure that the host is closed to new machines; answers a step for each machine that has to end. */
  planDrain(input: { operationId: string; hostId: string; machines: DrainPolicy }): Promise<{ host: string; steps: string[] }>;
  /** Ends when none of them is left. Tells each machine's step itself, and in the details of a fault which one it was. */
  emptyHost(input: Emptying): Promise<void>;
  /** What still lies on the host, by name: of ours what rests there or was left out, and how many more run that are not ours. */
  lookAtDrained(input: { operationId: string; hostId: string }): Promise<{ left: string[]; foreign: number }>;
}

const hub = quick<DrainActivities>();
const long = vigil<DrainActivities>();

export async function drain(input: DrainInput): Promise<Record<string, unknown>> {
  const { operationId, hostId, machines } = input;
  return runOperation(input, async ({ must, step }) => {
    const { host, steps } = await must("cordon", () => hub.planDrain({ operationId, hostId, machines }));
    const empty = (skip: string[]) => long.emptyHost({ operationId, hostId, machines, steps, position: 1, skip });
    if (steps.length > 0)
      await step(steps, async (skip) => ({ ended: await (machines === "wait" ? inTime(input, host, () => empty(skip)) : empty(skip)) }), {
        skippable: steps,
      });
    const { left, foreign } = await must("look", () => hub.lookAtDrained({ operationId, hostId }));
    return { host, machines: steps.length, left, foreign };
  });
}

/** Only waiting has a limit: what was asked to end says itself why it does not. */
async function inTime(input: DrainInput, host: string, act: () => Promise<void>): Promise<void> {
  const operation = CancellationScope.current();
  try {
    await CancellationScope.withTimeout(input.limitMs, act);
  } catch (error) {
    if (!isCancellation(error) || operation.consideredCancelled) throw error;
    throw refusal("drain_overdue", `Machines still run on ${host} after ${input.limitMs / 1000} s.`);
  }
}
