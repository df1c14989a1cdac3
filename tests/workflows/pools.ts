/** A pool in the fake world: each look is counted, and it is gone once the world has forgotten it. */
import type { PoolActivities } from "../../workflows/pools/keep.ts";
import { meet, type World } from "./world.ts";

export function poolsOfHub(world: World): PoolActivities {
  return {
    settlePool: async () => {
      world.acted.push("look");
      meet(world, "settle");
      return world.forgotten.has("pool") ? { againMs: null, words: "The pool is gone." } : { againMs: 60_000, words: "2 idle of 2." };
    },
  };
}
