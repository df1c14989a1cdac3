/**
 * What an operation does when its host falls silent.
 *
 * The one idea: only the compare loop decides that a host is lost; workflows hear it as a signal, and cut short what waits for that host.
 */
import { condition, defineSignal, isCancellation, setHandler } from "@temporalio/workflow";
import type { OnFault } from "../domain/operations/rules.ts";
import { cutShort } from "./cut-short.ts";
import { faultOf, refusal } from "./faults.ts";

/** Sent by the compare loop when the operation's host fell silent, and when it reported again. */
export const hostLostSignal = defineSignal<[string]>("hostLost");
export const hostBackSignal = defineSignal<[string]>("hostBack");
/** Sent when nobody waits for the operation's undo on its host any more: another operation may work there by now. */
export const giveUpSignal = defineSignal("giveUp");

/** The host whose loss a step must notice, and what it then does: park by itself until the host is back, or fail with `host_lost`. */
export interface OnHost {
  readonly hostId: string;
  readonly whenLost: "wait" | "fail";
}

/** What a lost host means to an operation that only it can do: those whose steps may park wait for it. */
export const lossOf = (hostId: string, onFault: OnFault): OnHost => ({ hostId, whenLost: onFault === "park" ? "wait" : "fail" });

export interface HostWatch {
  isLost(hostId: string | undefined): boolean;
  /** Runs `act` until it ends or the host is lost, which is the fault `host_lost`. */
  unless<T>(hostId: string | undefined, act: () => Promise<T>): Promise<T>;
  /** Waits so long for a host that is lost; `false` when it did not come back, or nobody waits for it any more. */
  isBack(hostId: string | undefined, withinMs: number): Promise<boolean>;
}

export function watchHosts(): HostWatch {
  const lost = new Set<string>();
  let givenUp = false;
  setHandler(hostLostSignal, (hostId) => void lost.add(hostId));
  setHandler(hostBackSignal, (hostId) => void lost.delete(hostId));
  setHandler(giveUpSignal, () => void (givenUp = true));
  const isLost = (hostId: string | undefined) => hostId !== undefined && lost.has(hostId);

  return {
    isLost,
    unless: async (hostId, act) => {
      if (hostId === undefined) return act();
      try {
        return await cutShort(() => lost.has(hostId) || givenUp, act);
      } catch (error) {
        // A host that is silent does not answer the cancellation either: its attempt ends by its time.
        if (isLost(hostId) && (isCancellation(error) || faultOf(error).code === "step_timeout"))
          throw refusal("host_lost", `The host ${hostId} does not report any more.`);
        throw error;
      }
    },
    isBack: async (hostId, withinMs) => {
      if (hostId === undefined) return true;
      if (isLost(hostId) && !givenUp && withinMs > 0) await condition(() => !isLost(hostId) || givenUp, withinMs);
      return !isLost(hostId) && !givenUp;
    },
  };
}
