/**
 * Ends a machine: stopped, unregistered, deleted, absent on disk, its reservation released, recorded.
 *
 * The one idea: every step is "ensure absent", so a machine that is half there or twice gone retires like any other. A lost host is waited for,
 * or skipped by an operator: what it brings back then carries a retired id and is removed.
 */
import { runOperation } from "../operation.ts";
import type { OperationInput } from "../records.ts";
import { onHost, patient, quick } from "../proxies.ts";
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

export async function retire(input: RetireInput): Promise<Record<string, unknown>> {
  const { operationId, hostId, machineId, epoch, graceMs } = input;
  return runOperation(input, async (frame) => {
    if (input.takesOver) {
      await frame.must("take over", async () => ({ taken: await patient<ActionActivities>().takeOver({ operationId, machineId }) }));
    }
    if (hostId !== null) {
      const host = onHost<MachineActivities>(hostId, input.machineName);
      const on = { hostId, whenLost: "wait" } as const;
      const stop = async () => ({ stopped: await host.stopMachine({ operationId, machineId, graceMs }) });
      const remove = async () => ({ removed: await host.removeMachine({ operationId, machineId, epoch }) });
      await frame.step("stop", stop, { on, skippable: ["stop"] });
      await frame.step("remove", remove, { on, skippable: ["remove"] });
    }
    await frame.must("record", async () => ({ recorded: await hub.recordRetired({ operationId, machineId }) }));
    return { machineId };
  });
}
