/**
 * Takes back what an operation did, newest first.
 *
 * The one idea: what lies on a host can only be removed there. A cancelled operation whose host is lost waits for it, so nothing is left when the host
 * returns; one that failed does not, because its caller waits for the answer: what its host brings back is the compare loop's.
 */
import { log } from "@temporalio/workflow";
import { faultOf } from "./faults.ts";
import type { HostWatch } from "./host-loss.ts";

export interface Undo {
  readonly label: string;
  readonly act: () => Promise<unknown>;
  readonly hostId: string | undefined;
}

export interface TakingBack {
  readonly lost: HostWatch;
  /** How long a lost host is waited for. */
  readonly waitMs: number;
  readonly begins: (label: string) => void;
}

export async function takeBack(undo: readonly Undo[], { lost, waitMs, begins }: TakingBack): Promise<void> {
  for (const one of undo.toReversed()) {
    begins(one.label);
    while ((await lost.isBack(one.hostId, waitMs)) && (await wasCut(one, lost)));
  }
}

/** Whether the undo was cut short by the loss of its host, and is to be done again. */
async function wasCut({ label, act, hostId }: Undo, lost: HostWatch): Promise<boolean> {
  try {
    await lost.unless(hostId, act);
    return false;
  } catch (cause) {
    if (faultOf(cause).code === "host_lost") return true;
    log.error(`undo failed: ${label}`, { cause });
    return false;
  }
}
