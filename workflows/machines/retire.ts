/**
 * Ends a machine: stopped, unregistered, deleted, absent on disk, its reservation released, recorded.
 *
 * The one idea: every step is "ensure absent", so a machine that is half there or twice gone retires like any other. A lost host is waited for,
 * or skipped by an operator: what it brings back then carries a retired id and is removed. Who asks again, with force, hurries the one that runs.
 */
import { CancellationScope, defineSignal, isCancellation, setHandler } from "@temporalio/workflow";
import { cutShort } from "../cut-short.ts";
import { runOperation, type OperationFrame } from "../operation.ts";
import type { OperationInput } from "../records.ts";
import { onHost, patient, quick, undoOnHost } from "../proxies.ts";
import type { ActionActivities } from "./operate.ts";
import type { MachineActivities } from "./provision.ts";

export interface RetireInput extends OperationInput {
  /** Null for a machine that no host ever had. */
  readonly hostId: string | null;
  readonly machineId: string;
  readonly machineName: string;
  readonly epoch: number;
  readonly graceMs: number;
  readonly takesOver: boolean;
}

/** Implemented in `activities/hub/machines.ts`. */
export interface RetireActivities {
  /** Reservation released, name free, row retired, in one transaction. */
  recordRetired(input: { operationId: string; machineId: string }): Promise<void>;
}

const hub = quick<RetireActivities>();

/** Sent by a second request, with force, for the same end: the guest gets no more time. */
export const hurrySignal = defineSignal("hurry");

export async function retire(input: RetireInput): Promise<Record<string, unknown>> {
  const { operationId, hostId, machineId } = input;
  let hurried = false;
  setHandler(hurrySignal, () => void (hurried = true));
  return runOperation(input, async (frame) => {
    if (input.takesOver) {
      await frame.must("take over", async () => ({ taken: await patient<ActionActivities>().takeOver({ operationId, machineId }) }));
    }
    if (hostId !== null) await removeFrom(hostId, input, frame, () => hurried);
    await frame.conclude("record", async () => ({ recorded: await hub.recordRetired({ operationId, machineId }) }));
    return { machineId };
  });
}

async function removeFrom(hostId: string, input: RetireInput, frame: OperationFrame, hurried: () => boolean): Promise<void> {
  const { operationId, machineId, epoch, machineName } = input;
  const host = onHost<MachineActivities>(hostId, machineName);
  const on = { hostId, whenLost: "wait" } as const;
  const ask = { operationId, machineId, unlessCloned: true };
  const operation = CancellationScope.current();

  const stop = async (): Promise<void> => {
    const graceMs = hurried() ? 0 : input.graceMs;
    if (graceMs === 0) return host.stopMachine({ ...ask, graceMs });
    try {
      await cutShort(hurried, () => host.stopMachine({ ...ask, graceMs }));
    } catch (error) {
      if (!isCancellation(error) || !hurried()) throw error;
      await host.stopMachine({ ...ask, graceMs: 0 });
    }
  };
  // Half a machine is of no use to anybody: who cancels now is too late.
  const remove = async (): Promise<void> => {
    try {
      await host.removeMachine({ ...ask, epoch });
    } catch (error) {
      if (!isCancellation(error) || !operation.consideredCancelled) throw error;
      const last = undoOnHost<MachineActivities>(hostId, machineName);
      await CancellationScope.nonCancellable(() => last.removeMachine({ ...ask, epoch }));
    }
  };
  await frame.step("stop", async () => ({ stopped: await stop() }), { on, skippable: ["stop"] });
  await frame.step("remove", async () => ({ removed: await remove() }), { on, skippable: ["remove"] });
}
