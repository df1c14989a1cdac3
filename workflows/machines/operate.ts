/**
 * Does one thing to one machine on its host, and records what came of it.
 *
 * The one idea: the host acts at most once per operation. It journals the operation before an act that cannot be repeated, so the workflow may try again freely.
 */
import type { MachineState } from "../../domain/machines/rules.ts";
import type { Verb } from "../../domain/operations/rules.ts";
import { lossOf } from "../host-loss.ts";
import { runOperation } from "../operation.ts";
import type { OperationInput } from "../records.ts";
import { onHost, patient, quick, undoOnHost } from "../proxies.ts";
import type { MachineActivities } from "./provision.ts";

/** What to do, without secrets: a script is fetched by the host when it runs. */
export interface Action {
  readonly verb: Verb;
  readonly [option: string]: unknown;
}
export interface OperateInput extends OperationInput {
  readonly hostId: string;
  readonly machineId: string;
  readonly machineName: string;
  readonly epoch: number;
  readonly action: Action;
  /** The machine that a clone makes. */
  readonly cloneId?: string;
  /** The hold was taken by another operation that this one pushes aside. */
  readonly takesOver: boolean;
}

/** What came of it. `result` is what the caller gets; the rest updates the machine's row. */
export interface Effect {
  readonly observed: MachineState;
  readonly addresses?: readonly string[];
  readonly bundlePath?: string;
  readonly macAddress?: string | null;
  readonly diskBytes?: number;
  readonly result?: Readonly<Record<string, unknown>>;
}

/** What acting on a machine asks of the hub. Implemented in `activities/hub/machines.ts`. */
export interface ActionActivities {
  /** Cancels the operation that holds the machine, waits for its undo (60 s, on a lost host not at all), takes the hold. */
  takeOver(input: { operationId: string; machineId: string }): Promise<void>;
  recordAction(input: { operationId: string; effect: Effect }): Promise<void>;
  /** Gives back what the intent reserved for an action that came to nothing. */
  releaseAction(input: { operationId: string }): Promise<void>;
}

/** Implemented in `activities/host/actions.ts`. */
export interface HostActionActivities {
  actOnMachine(input: {
    operationId: string;
    step: string;
    machineId: string;
    epoch: number;
    action: Action;
    cloneId?: string;
  }): Promise<Effect>;
  /** Removes the snapshot that this operation made of the machine, if it made one. */
  dropSnapshot(input: { operationId: string; machineId: string; name: string }): Promise<void>;
}

const hub = quick<ActionActivities>();

export async function operate(input: OperateInput): Promise<Record<string, unknown>> {
  const { operationId, hostId, machineId, epoch, action, cloneId } = input;
  const host = onHost<HostActionActivities>(hostId, input.machineName);
  const step = action.verb;

  return runOperation(input, async (frame) => {
    if (input.takesOver)
      await frame.must("take over", async () => ({ taken: await patient<ActionActivities>().takeOver({ operationId, machineId }) }));
    frame.undo("release what was reserved", () => hub.releaseAction({ operationId }));
    const undo = undoOf(input);
    if (undo) frame.undo(undo.label, undo.act, hostId);

    const act = () => host.actOnMachine({ operationId, step, machineId, epoch, action, ...(cloneId ? { cloneId } : {}) });
    const effect = await frame.must(step, act, { on: lossOf(hostId, input.onFault) });
    await frame.conclude("record", async () => ({ recorded: await hub.recordAction({ operationId, effect }) }));
    return { machineId: cloneId ?? machineId, ...effect.result };
  });
}

/** What an act leaves on its host that was not there before. */
function undoOf({ operationId, hostId, machineId, machineName, action, cloneId }: OperateInput) {
  const host = undoOnHost<HostActionActivities & MachineActivities>(hostId, machineName);
  if (cloneId) return { label: "remove clone", act: () => host.removeMachine({ operationId, machineId: cloneId, epoch: 1 }) };
  if (action.verb === "start")
    return { label: "stop again", act: () => host.stopMachine({ operationId, machineId, graceMs: 0, ifStarted: true }) };
  if (action.verb !== "snapshot-create") return null;
  return { label: "remove snapshot", act: () => host.dropSnapshot({ operationId, machineId, name: String(action["name"]) }) };
}
