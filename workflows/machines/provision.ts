/**
 * Makes a machine from an image: place, fetch if missing, prepare, start, prove that it answers.
 *
 * The one idea: a host that dies in between costs one more placement, or is waited for where the request names it. What it had made carries an older
 * epoch, so it is removed when the host is back.
 */
import { faultOf } from "../faults.ts";
import { lossOf, type OnHost } from "../host-loss.ts";
import { runOperation, type OperationFrame } from "../operation.ts";
import type { OperationInput } from "../records.ts";
import { onHost, quick, undoOnHost } from "../proxies.ts";
import { markHost } from "../search.ts";
import { fetchTo, type Wanted } from "../catalog/fetch.ts";
import type { Probe } from "../../domain/catalog/schema.ts";

export interface ProvisionInput extends OperationInput {
  readonly machineId: string;
}

/** The choice of a host, with everything that the host must know. */
export interface Placement {
  readonly hostId: string;
  readonly machineId: string;
  readonly epoch: number;
  readonly hubId: string;
  readonly name: string;
  readonly description: string;
  readonly vcpus: number;
  readonly memoryBytes: number;
  readonly start: boolean;
  readonly probe: Probe;
  readonly wanted: Wanted;
  /** The request names this host, so that no other can take its place. */
  readonly only?: boolean;
}
/** What a host made of it. */
export interface MadeMachine {
  readonly macAddress: string | null;
  readonly bundlePath: string;
  readonly diskBytes: number;
}
export interface StartedMachine {
  readonly addresses: readonly string[];
}

/** What provisioning asks of the hub. Implemented in `activities/hub/machines.ts`. */
export interface PlacementActivities {
  /** Chooses a host and reserves its capacity in one transaction; the same attempt again answers the same choice. */
  placeMachine(input: { operationId: string; excluded: string[] }): Promise<Placement>;
  /** Gives the reservation back. The machine's row stays until `forgetMachine`. */
  releasePlacement(input: { operationId: string; machineId: string; epoch: number }): Promise<void>;
  /** A machine that never came to be: its name is free again. */
  forgetMachine(input: { operationId: string; machineId: string }): Promise<void>;
  recordMachine(input: { operationId: string; placement: Placement; made: MadeMachine; started: StartedMachine | null }): Promise<void>;
}

/** What provisioning and retiring ask of a host. Implemented in `activities/host/machines.ts`. */
export interface MachineActivities {
  /** Clone, register, configure: reports each step, resumes at the first unfinished one. */
  prepareMachine(input: { operationId: string; placement: Placement; skip: string[] }): Promise<MadeMachine>;
  /** Start, address, answers. */
  startMachine(input: { operationId: string; placement: Placement; skip: string[] }): Promise<StartedMachine>;
  /** `ifStarted`: only when this very operation started it. `unlessCloned`: refused while linked clones stand on the machine. */
  stopMachine(input: {
    operationId: string;
    machineId: string;
    graceMs: number;
    ifStarted?: boolean;
    unlessCloned?: boolean;
  }): Promise<void>;
  /** Unregistered, deleted, absent on disk: in whatever state it was found, of this epoch or an older one. */
  removeMachine(input: { operationId: string; machineId: string; epoch: number; unlessCloned?: boolean }): Promise<void>;
}

const hub = quick<PlacementActivities>();

/** The first choice and one more: a second dying host is no accident any more. */
const placementsTried = 2;

export async function provision(input: ProvisionInput): Promise<Record<string, unknown>> {
  const { operationId, machineId } = input;
  return runOperation(input, async (frame) => {
    frame.undo("forget machine", () => hub.forgetMachine({ operationId, machineId }));
    const excluded: string[] = [];
    for (;;) {
      const mark = frame.mark();
      const placement = await frame.must("place", () => hub.placeMachine({ operationId, excluded }));
      markHost(placement.hostId);
      try {
        return await makeOn(placement, input, frame);
      } catch (error) {
        if (faultOf(error).code !== "host_lost" || excluded.length + 1 >= placementsTried) throw error;
        excluded.push(placement.hostId);
        frame.standsNow(mark);
        await hub.releasePlacement({ operationId, machineId, epoch: placement.epoch });
      }
    }
  });
}

async function makeOn(placed: Placement, { operationId, onFault }: ProvisionInput, frame: OperationFrame) {
  const { hostId, machineId, epoch, wanted } = placed;
  const host = onHost<MachineActivities>(hostId, placed.name);
  const on: OnHost = placed.only === true ? lossOf(hostId, onFault) : { hostId, whenLost: "fail" };
  frame.undo("release placement", () => hub.releasePlacement({ operationId, machineId, epoch }));
  const fetched = await fetchTo(on, wanted, operationId, frame);
  // Of an archive the digest is known only now.
  const placement: Placement = { ...placed, wanted: { ...wanted, digest: fetched.digest } };

  const back = undoOnHost<MachineActivities>(hostId, placement.name);
  frame.undo("remove machine", () => back.removeMachine({ operationId, machineId, epoch }), hostId);
  const made = await frame.must(["clone", "register", "configure"], () => host.prepareMachine({ operationId, placement, skip: [] }), {
    on,
  });
  const started = placement.start
    ? await frame.step(["start", "address", "answers"], (skip) => host.startMachine({ operationId, placement, skip }), {
        on,
        skippable: ["address", "answers"],
      })
    : null;
  await frame.conclude("record", async () => ({ recorded: await hub.recordMachine({ operationId, placement, made, started }) }));
  return { machineId, hostId, image: wanted.image, fetchedBytes: fetched.fetchedBytes, addresses: [...(started?.addresses ?? [])] };
}
