/**
 * Makes a damaged tree whole again in its store, from a host that has the image in its cache.
 *
 * The one idea: the host writes what is broken into new packs, by an ordinary grant; the hub reads them back before any version points to them.
 */
import { lossOf } from "../host-loss.ts";
import { runOperation } from "../operation.ts";
import { onHost, quick, storeWork } from "../proxies.ts";
import type { OperationInput } from "../records.ts";

export interface HealInput extends OperationInput {
  readonly hostId: string;
  readonly storeId: string;
  readonly digest: string;
}

export interface HealPlan {
  readonly digest: string;
  /** The generation of its locations now, of those that can be believed, and of those that are written. */
  readonly current: number;
  readonly from: number | null;
  readonly to: number;
  /** Packs that are not to be believed. */
  readonly broken: readonly string[];
  readonly image: string;
}
export interface Healing {
  readonly chunks: number;
  readonly sentBytes: number;
}

/** What a healing asks of the hub. Implemented in `activities/hub/heal.ts`. */
export interface HealActivities {
  /** What is broken now, with new locations to be written. A tree whose own list is broken loses that list, which the host then writes. */
  planHealing(input: { operationId: string }): Promise<HealPlan>;
  /** Reads back what the host wrote, and gives other damaged trees their share of it. */
  checkHealing(input: { operationId: string; step: string; plan: HealPlan }): Promise<{ verifiedBytes: number; trees: HealedTree[] }>;
  /** One transaction: the versions point to the new locations and are damaged no more. */
  recordHealing(input: { operationId: string; trees: readonly HealedTree[] }): Promise<void>;
}
export interface HealedTree {
  readonly digest: string;
  readonly from: number;
  readonly to: number;
  readonly storedBytes: number;
  /** Whether nothing of it is broken any more. */
  readonly whole: boolean;
}

/** What a healing asks of the host. Implemented in `activities/host/heal.ts`. */
export interface HostHealActivities {
  writeAnew(input: { operationId: string; step: string; plan: HealPlan }): Promise<Healing>;
}

const hub = storeWork<HealActivities>();
const record = quick<HealActivities>();

export async function heal(input: HealInput): Promise<Record<string, unknown>> {
  const { operationId, hostId } = input;
  return runOperation(input, async ({ must, conclude }) => {
    const plan = await must("plan", () => hub.planHealing({ operationId }));
    const host = onHost<HostHealActivities>(hostId, plan.image);
    const on = lossOf(hostId, input.onFault);
    const healing = await must("write anew", () => host.writeAnew({ operationId, step: "write anew", plan }), { on });
    const checked = await must("read back", () => hub.checkHealing({ operationId, step: "read back", plan }));
    await conclude("point to it", async () => ({ done: await record.recordHealing({ operationId, trees: checked.trees }) }));
    return { ...healing, verifiedBytes: checked.verifiedBytes, healedTrees: checked.trees.length, hostId };
  });
}
