/**
 * What an operation does when its host falls silent.
 *
 * The one idea: only the compare loop decides that a host is lost; workflows hear it as a signal, and cut short what waits for that host.
 */
import { CancellationScope, condition, defineSignal, isCancellation, setHandler } from "@temporalio/workflow";
import type { OnFault } from "../domain/operations/rules.ts";
import { refusal } from "./faults.ts";

/** Sent by the compare loop when the operation's host fell silent, and when it reported again. */
export const hostLostSignal = defineSignal<[string]>("hostLost");
export const hostBackSignal = defineSignal<[string]>("hostBack");

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
}

export function watchHosts(): HostWatch {
  const lost = new Set<string>();
  setHandler(hostLostSignal, (hostId) => void lost.add(hostId));
  setHandler(hostBackSignal, (hostId) => void lost.delete(hostId));
  const isLost = (hostId: string | undefined) => hostId !== undefined && lost.has(hostId);

  async function unless<T>(hostId: string | undefined, act: () => Promise<T>): Promise<T> {
    if (hostId === undefined) return act();
    const scope = new CancellationScope();
    const work = scope.run(act);
    const watch = new CancellationScope();
    const watching = watch
      .run(() => condition(() => lost.has(hostId)))
      .then(
        () => scope.cancel(),
        () => undefined,
      );
    try {
      return await work;
    } catch (error) {
      if (isCancellation(error) && isLost(hostId)) throw refusal("host_lost", `The host ${hostId} does not report any more.`);
      throw error;
    } finally {
      watch.cancel();
      await watching;
    }
  }
  return { isLost, unless };
}
