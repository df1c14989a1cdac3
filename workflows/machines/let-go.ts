/**
 * Ends a machine whose files stay: unregistered, no longer marked as ours, its reservation released, recorded.
 *
 * The one idea: it is a workflow of its own, so that a hub which does not know it yet leaves it to one that does, instead of removing the files. Nobody skips
 * its step: the machine would be taken for a remain of ours, and removed, when its host comes back.
 */
import { CancellationScope, isCancellation } from "@temporalio/workflow";
import { runOperation } from "../operation.ts";
import { onHost, quick, undoOnHost } from "../proxies.ts";
import type { OperationInput } from "../records.ts";
import type { RetireActivities } from "./retire.ts";

export interface LetGoInput extends OperationInput {
  readonly hostId: string;
  readonly machineId: string;
  readonly machineName: string;
  readonly epoch: number;
}

/** Implemented in `activities/host/let-go.ts`. */
export interface HostLetGoActivities {
  /**
   * Unregistered and no longer marked as ours; its files stay. `bundlePath`: only where the machine lies there. `restoresMark`: with the mark that it had
   * before this operation.
   */
  letGoMachine(input: {
    operationId: string;
    machineId: string;
    epoch: number;
    bundlePath?: string;
    restoresMark?: boolean;
  }): Promise<void>;
}

const hub = quick<RetireActivities>();

export async function letGo(input: LetGoInput): Promise<Record<string, unknown>> {
  const { operationId, hostId, machineId, machineName, epoch } = input;
  const asked = { operationId, machineId, epoch };
  return runOperation(input, async (frame) => {
    const operation = CancellationScope.current();
    // Half of it is of no use to anybody: who cancels now is too late.
    const unregister = async (): Promise<void> => {
      try {
        await onHost<HostLetGoActivities>(hostId, machineName).letGoMachine(asked);
      } catch (error) {
        if (!isCancellation(error) || !operation.consideredCancelled) throw error;
        const last = undoOnHost<HostLetGoActivities>(hostId, machineName);
        await CancellationScope.nonCancellable(() => last.letGoMachine(asked));
      }
    };
    await frame.must("unregister", async () => ({ unregistered: await unregister() }), { on: { hostId, whenLost: "wait" } });
    await frame.conclude("record", async () => ({ recorded: await hub.recordRetired({ operationId, machineId }) }));
    return { machineId };
  });
}
