/**
 * Takes a machine that its host reports into the hub's rows: registered where it was not, marked as ours, recorded as it is.
 *
 * The one idea: nothing is done to the machine itself. Should it come to nothing, its row goes, a mark that it did not have before is taken off again, and
 * what was registered nowhere is so again.
 */
import type { ObservedMachine } from "../../domain/machines/schema.ts";
import { lossOf } from "../host-loss.ts";
import { runOperation } from "../operation.ts";
import type { OperationInput } from "../records.ts";
import { onHost, quick, undoOnHost } from "../proxies.ts";
import type { Effect } from "./operate.ts";
import type { HostLetGoActivities } from "./let-go.ts";

export interface AdoptInput extends OperationInput {
  readonly hostId: string;
  readonly machineId: string;
  readonly machineName: string;
  readonly epoch: number;
  /** As what its host reports it: another id than the machine's only where its bundle is not registered. */
  readonly seenId: string;
  /** Where its bundle lies, for one that nobody reports. */
  readonly bundlePath?: string;
  /** Where its bundle lies, for one that its host reports by its mark and nobody has registered. */
  readonly unregisteredPath?: string;
}

/** The machine as it is: nobody chose its size, and whoever adopted it reads right away what its host sees of it. */
export interface AdoptedEffect extends Effect {
  readonly seen: ObservedMachine;
}

/** Implemented in `activities/host/adopt.ts`. */
export interface HostAdoptActivities {
  adoptMachine(input: {
    operationId: string;
    machineId: string;
    seenId: string;
    epoch: number;
    name: string;
    bundlePath?: string;
  }): Promise<AdoptedEffect>;
  /** Takes off the mark that this very operation put on a machine of somebody else. */
  unmarkMachine(input: { operationId: string; machineId: string }): Promise<void>;
}

/** Implemented in `activities/hub/machines.ts`. */
export interface AdoptActivities {
  recordAdopted(input: { operationId: string; effect: AdoptedEffect }): Promise<void>;
}

const hub = quick<AdoptActivities>();

export async function adopt(input: AdoptInput): Promise<Record<string, unknown>> {
  const { operationId, hostId, machineId, machineName, epoch, seenId, bundlePath, unregisteredPath } = input;
  const host = onHost<HostAdoptActivities>(hostId, machineName);
  return runOperation(input, async (frame) => {
    const undoing = undoOnHost<HostAdoptActivities & HostLetGoActivities>(hostId, machineName);
    frame.undo("take the mark off", () => undoing.unmarkMachine({ operationId, machineId }), hostId);
    const placed = bundlePath === undefined ? {} : { bundlePath };
    const lies = bundlePath ?? unregisteredPath;
    const before = bundlePath === undefined ? { restoresMark: true } : {};
    if (lies !== undefined)
      frame.undo("unregister again", () => undoing.letGoMachine({ operationId, machineId, epoch, bundlePath: lies, ...before }), hostId);
    const take = () => host.adoptMachine({ operationId, machineId, seenId, epoch, name: machineName, ...placed });
    const effect = await frame.must(["register", "mark"], take, { on: lossOf(hostId, input.onFault) });
    await frame.conclude("record", async () => ({ recorded: await hub.recordAdopted({ operationId, effect }) }), "quota_exceeded");
    return { machineId, hostId };
  });
}
