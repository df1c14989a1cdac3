/** The receiver of a webhook in the fake world: it fails as often as the world's trouble at `send` says. */
import type { DeliverActivities } from "../../workflows/webhooks/deliver.ts";
import type { World } from "./world.ts";

export function deliveriesOfHub(world: World): DeliverActivities {
  return {
    attemptDelivery: async ({ attempt }) => {
      world.acted.push(`attempt ${attempt}`);
      if (world.forgotten.has("delivery")) return "over";
      return attempt > (world.troubles.get("send")?.times ?? 0) ? "delivered" : "failed";
    },
  };
}
