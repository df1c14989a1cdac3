/**
 * Lets the hub's own activities show that their process lives, where their workflow asks for it.
 *
 * The one idea: a beat says that this process is there, and nothing of the work: so it comes from a timer, and no activity has to think of it.
 */
import { Context } from "@temporalio/activity";
import type { ActivityInterceptorsFactory } from "@temporalio/worker";

/** A few fit into the ten seconds after which a silent process counts as dead. */
const beatMs = 1_000;

/** Tells with beats of its own whom it waits for. */
const speaking = "takeOver";

export const beatInterceptor: ActivityInterceptorsFactory = () => ({
  inbound: {
    async execute(input, next) {
      const { info, heartbeat } = Context.current();
      if (info.heartbeatTimeoutMs === undefined || info.activityType === speaking) return next(input);
      const beat = setInterval(() => heartbeat(), beatMs);
      try {
        return await next(input);
      } finally {
        clearInterval(beat);
      }
    },
  },
});
