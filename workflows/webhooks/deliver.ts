/**
 * Brings one event to one webhook: attempt after attempt, at first soon and then seldom, for about a day.
 *
 * The one idea: it holds nothing but names. What is sent, where and with which secret is read at each attempt, so a changed address or secret counts at once;
 * and a delivery that was asked for anew, or whose webhook is gone, ends the older round.
 */
import { sleep } from "@temporalio/workflow";
import { pauseAfterMs } from "../../domain/webhooks/rules.ts";
import { outgoing } from "../proxies.ts";
import { nameActivities } from "../shown.ts";

export interface DeliverInput {
  readonly interfaceVersion: 1;
  readonly deliveryId: string;
  readonly round: number;
  /** The webhook's name, for people. */
  readonly webhook: string;
}

/** Implemented in `activities/hub/webhooks.ts`. */
export interface DeliverActivities {
  /**
   * Sends once and writes down what came of it, in one row per attempt: repeated, it answers what is written. One whose process died between the two sends again,
   * under the same delivery id. `over`: nobody wants this round any more.
   */
  attemptDelivery(input: {
    deliveryId: string;
    round: number;
    attempt: number;
    waitMs: number | null;
  }): Promise<"delivered" | "failed" | "over">;
}

const hub = outgoing<DeliverActivities>();

export async function deliver({ deliveryId, round, webhook }: DeliverInput): Promise<{ outcome: string; attempts: number }> {
  for (let attempt = 1; ; attempt += 1) {
    const waitMs = pauseAfterMs(attempt);
    nameActivities(`attempt ${attempt}`, webhook);
    const outcome = await hub.attemptDelivery({ deliveryId, round, attempt, waitMs });
    if (outcome !== "failed") return { outcome, attempts: attempt };
    if (waitMs === null) return { outcome: "dead", attempts: attempt };
    await sleep(waitMs);
  }
}
