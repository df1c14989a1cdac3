/** A host with one machine, as a drain sees it: the machine goes when it is waited for, unless the world says otherwise. */
import type { DrainActivities } from "../../workflows/hosts/drain.ts";
import { meet, type Endless, type World } from "./world.ts";

export function drainsOfHub(world: World, endless: Endless): DrainActivities {
  const there = () => (world.machines.size > 0 ? ["machine: ci-1"] : []);
  return {
    planDrain: async () => ({ host: "mac-1", steps: there() }),
    emptyHost: async ({ skip }) => {
      if (skip.length > 0) return;
      meet(world, "machine: ci-1");
      if (world.endless.has("mac-1:machine: ci-1")) await endless("machine: ci-1");
      world.machines.clear();
    },
    lookAtDrained: async () => ({ left: [...world.machines.keys()], foreign: 0 }),
  };
}
