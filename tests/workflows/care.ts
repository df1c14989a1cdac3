/** The care for images and stores in the fake world: a store in which everything is as it should be. */
import type { CheckActivities } from "../../workflows/catalog/check.ts";
import type { CollectActivities } from "../../workflows/catalog/collect.ts";
import type { HealActivities, HostHealActivities } from "../../workflows/catalog/heal.ts";
import type { RetainActivities } from "../../workflows/catalog/retain.ts";
import type { ScrubActivities } from "../../workflows/catalog/scrub.ts";
import { digest, meet, stepsOn, wanted, type Endless, type World } from "./world.ts";

const whole = { findings: [], found: 0 };
const read = { ...whole, readPacks: 1, readBytes: 500 };

export function careOfHub(
  world: World,
  endless: Endless,
): CollectActivities & CheckActivities & ScrubActivities & HealActivities & RetainActivities {
  const at = async (step: string) => {
    meet(world, step);
    if (world.endless.has(`mac-1:${step}`)) await endless(step);
  };
  return {
    foreseeCollection: () => at("look").then(() => ({ deadObjects: 1, deadBytes: 500, mostlyDeadPacks: 0, repackFreesBytes: 0 })),
    repackStore: () => at("repack").then(() => ({ repackedTrees: 0, repackedPacks: 0, movedBytes: 0 })),
    condemnDead: () => at("mark").then(() => ({ condemnedObjects: 1, condemnedBytes: 500 })),
    sweepStore: () => at("sweep").then(() => ({ removedObjects: 1, removedBytes: 500, waitingObjects: 0, waitingBytes: 0 })),
    checkStoreStructure: () =>
      at("structure").then(() => ({ ...whole, trees: 1, packs: 1, packBytes: 500, orphans: 0, orphanBytes: 0, unknownObjects: 0 })),
    checkStoreContent: () => at("content").then(() => read),
    scrubStore: () => at("read").then(() => read),
    beginHealing: () => at("heal").then(() => ({ healing: [], unhealed: [] })),
    planHealing: () => at("plan").then(() => ({ digest, current: 1, from: 1, to: 2, broken: [], image: wanted.image })),
    checkHealing: () =>
      at("read back").then(() => ({ verifiedBytes: 500, trees: [{ digest, from: 1, to: 2, storedBytes: 500, whole: true }] })),
    recordHealing: async () => void world.acted.push("record healing"),
    deleteUnkept: () => at("delete").then(() => ({ deleted: [wanted.image], busy: [] })),
  };
}

export function careOfHost(world: World, host: string, endless: Endless): HostHealActivities {
  const at = stepsOn(world, host, endless);
  return { writeAnew: () => at("write anew").then(() => ({ chunks: 1, sentBytes: 500 })) };
}
