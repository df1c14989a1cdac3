/**
 * Collects a store: moves what lives of mostly dead packs together, condemns what nothing living needs, removes what was condemned long enough ago.
 *
 * The one idea: each step ends in a store that is whole, and begins with what is true then, so it may die and begin again anywhere; nothing needs an undo.
 */
import { runOperation } from "../operation.ts";
import { storeWork } from "../proxies.ts";
import type { OperationInput } from "../records.ts";

export interface CollectInput extends OperationInput {
  readonly storeId: string;
  readonly dryRun: boolean;
}

/** What a collection would do now. */
export interface CollectionFigures {
  /** Objects that nothing living needs, those that wait for their grace included. */
  readonly deadObjects: number;
  readonly deadBytes: number;
  readonly mostlyDeadPacks: number;
  /** Freed by rewriting these, once they are gone. */
  readonly repackFreesBytes: number;
}
export interface Removed {
  readonly removedObjects: number;
  readonly removedBytes: number;
  /** What is condemned and waits. */
  readonly waitingObjects: number;
  readonly waitingBytes: number;
}

/** What a collection asks of the hub, which has the store's credentials. Implemented in `activities/hub/collect.ts`. */
export interface CollectActivities {
  foreseeCollection(input: { operationId: string; step: string }): Promise<CollectionFigures>;
  repackStore(input: { operationId: string; step: string }): Promise<{ repackedTrees: number; repackedPacks: number; movedBytes: number }>;
  condemnDead(input: { operationId: string; step: string }): Promise<{ condemnedObjects: number; condemnedBytes: number }>;
  sweepStore(input: { operationId: string; step: string }): Promise<Removed>;
}

const hub = storeWork<CollectActivities>();

export async function collect(input: CollectInput): Promise<Record<string, unknown>> {
  const { operationId, dryRun } = input;
  return runOperation(input, async ({ must }) => {
    if (dryRun) {
      const figures = await must("look", () => hub.foreseeCollection({ operationId, step: "look" }));
      return { ...figures, freedBytes: figures.deadBytes + figures.repackFreesBytes, dryRun };
    }
    const repacked = await must("repack", () => hub.repackStore({ operationId, step: "repack" }));
    const condemned = await must("mark", () => hub.condemnDead({ operationId, step: "mark" }));
    const removed = await must("sweep", () => hub.sweepStore({ operationId, step: "sweep" }));
    return { ...repacked, ...condemned, ...removed, dryRun };
  });
}
