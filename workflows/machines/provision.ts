/**
 * Makes a machine from an image: place, fetch if missing, make, start, prove that it answers.
 *
 * The one idea: a host that dies in between costs one more placement, or is waited for where the request names it. What it had made carries an older
 * epoch, so it is removed when the host is back. Where the image is cached all of it is one turn of the host.
 */
import { condition, defineSignal, setHandler } from "@temporalio/workflow";
import { faultOf, refusal } from "../faults.ts";
import { lossOf, type OnHost } from "../host-loss.ts";
import { runOperation, type OperationFrame } from "../operation.ts";
import type { OperationInput } from "../records.ts";
import { onHost, quick, undoOnHost } from "../proxies.ts";
import { markHost } from "../search.ts";
import { fetchTo, type Wanted } from "../catalog/fetch.ts";
import type { Probe } from "../../domain/catalog/schema.ts";

export interface ProvisionInput extends OperationInput {
  readonly machineId: string;
  /** How long it may wait for room on a host. */
  readonly waitMs?: number;
  /** Where a batch had placed it before it fell out. */
  readonly standing?: { readonly hostId: string; readonly epoch: number };
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
  /** The hub believes that the image lies in the host's cache. Whoever makes the machine looks first, and fails with `image_not_cached`. */
  readonly cached?: boolean;
}
/** What a host made of it. */
export interface MadeMachine {
  readonly macAddress: string | null;
  readonly bundlePath: string;
  readonly diskBytes: number;
  /** None of a machine that was not started. */
  readonly addresses: readonly string[];
}

/** What provisioning asks of the hub. Implemented in `activities/hub/machines.ts`. */
export interface PlacementActivities {
  /** Chooses a host and reserves its capacity in one transaction; the same attempt again answers the same choice. */
  placeMachine(input: { operationId: string; excluded: string[] }): Promise<Placement>;
  /** From now on the machine is among those that wait for room, until it is placed or its operation ends. `until`: ISO 8601. */
  awaitRoom(input: { operationId: string; excluded: string[]; until: string }): Promise<void>;
  /** Gives the reservation back. The machine's row stays until `forgetMachine`. */
  releasePlacement(input: { operationId: string; machineId: string; epoch: number }): Promise<void>;
  /** A machine that never came to be: its name is free again. */
  forgetMachine(input: { operationId: string; machineId: string }): Promise<void>;
  recordMachine(input: { operationId: string; placement: Placement; made: MadeMachine }): Promise<void>;
}

/** What provisioning and retiring ask of a host. Implemented in `activities/host/machines.ts`. */
export interface MachineActivities {
  /** Clone, register, configure, and where it is to run start, address, answers: reports each step, resumes at the first unfinished one. */
  createMachine(input: { operationId: string; placement: Placement; skip: string[] }): Promise<MadeMachine>;
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
    const unplaced = frame.mark();
    takeBackStanding(input, frame);
    const excluded: string[] = [];
    const place = placer(input, frame);
    for (;;) {
      const placement = await frame.must("place", () => place(excluded), { brief: true });
      markHost(placement.hostId);
      try {
        return await makeOn(placement, input, frame);
      } catch (error) {
        if (faultOf(error).code !== "host_lost" || excluded.length + 1 >= placementsTried) throw error;
        excluded.push(placement.hostId);
        frame.standsNow(unplaced);
        await hub.releasePlacement({ operationId, machineId, epoch: placement.epoch });
      }
    }
  });
}

/** What a batch made of it on the host, also when this is cancelled before it has looked at the placement. */
function takeBackStanding({ operationId, machineId, subject, standing }: ProvisionInput, frame: OperationFrame): void {
  if (!standing) return;
  const { hostId, epoch } = standing;
  const back = undoOnHost<MachineActivities>(hostId, subject ?? machineId);
  frame.undo("release placement", () => hub.releasePlacement({ operationId, machineId, epoch }));
  frame.undo("remove machine", () => back.removeMachine({ operationId, machineId, epoch }), hostId);
}

/** Sent when there seems to be room for the machine, and it is its turn. */
export const roomSignal = defineSignal("room");
/** Should a word be lost, or room be seen by nobody: a look that costs nothing. */
const lookAgainMs = 600_000;

/** Places the machine, or waits for room where there is none and the request may. */
function placer({ operationId, waitMs = 0 }: ProvisionInput, frame: OperationFrame): (excluded: string[]) => Promise<Placement> {
  const untilMs = Date.now() + waitMs;
  let told = false;
  setHandler(roomSignal, () => void (told = true));
  return async (excluded) => {
    for (;;) {
      told = false;
      try {
        return await hub.placeMachine({ operationId, excluded });
      } catch (error) {
        const { code, message } = faultOf(error);
        if (code !== "no_capacity" || Date.now() >= untilMs) throw error;
        await frame.waits(`place waits for room: ${message}`);
        await hub.awaitRoom({ operationId, excluded, until: new Date(untilMs).toISOString() });
      }
      await condition(() => told, Math.max(1, Math.min(lookAgainMs, untilMs - Date.now())));
    }
  };
}

async function makeOn(placed: Placement, { operationId, onFault }: ProvisionInput, frame: OperationFrame) {
  const { hostId, machineId, epoch, wanted } = placed;
  const on: OnHost = placed.only === true ? lossOf(hostId, onFault) : { hostId, whenLost: "fail" };
  frame.undo("release placement", () => hub.releasePlacement({ operationId, machineId, epoch }));
  const { made, placement, fetchedBytes } = await fromCache(placed, { operationId, on, frame });
  await frame.conclude("record", async () => ({ recorded: await hub.recordMachine({ operationId, placement, made }) }));
  return { machineId, hostId, image: wanted.image, fetchedBytes, addresses: [...made.addresses] };
}

interface Making {
  readonly operationId: string;
  readonly on: OnHost;
  readonly frame: OperationFrame;
}

/** In one turn where the hub is right about the cache; otherwise the image is fetched before. */
async function fromCache({ cached = false, ...placed }: Placement, making: Making) {
  const { operationId, on, frame } = making;
  if (cached) {
    const mark = frame.mark();
    try {
      return { made: await make({ ...placed, cached }, making), placement: placed, fetchedBytes: 0 };
    } catch (error) {
      if (faultOf(error).code !== "image_not_cached") throw error;
      frame.standsNow(mark);
    }
  }
  const { digest, fetchedBytes } = await fetchTo(on, placed.wanted, operationId, frame);
  // Of an archive the digest is known only now.
  const placement: Placement = { ...placed, wanted: { ...placed.wanted, digest } };
  return { made: await make(placement, making), placement, fetchedBytes };
}

async function make(placement: Placement, { operationId, on, frame }: Making): Promise<MadeMachine> {
  const { hostId, machineId, epoch, name, cached } = placement;
  const back = undoOnHost<MachineActivities>(hostId, name);
  frame.undo("remove machine", () => back.removeMachine({ operationId, machineId, epoch }), hostId);
  const steps = [...(cached ? ["make room"] : []), "clone", "register", "configure", ...(placement.start ? starting : [])];
  const host = onHost<MachineActivities>(hostId, name);
  const made = await frame.step(steps, (skip) => host.createMachine({ operationId, placement, skip }), { on, skippable });
  if (made === null) throw refusal("internal", "A machine is not made by leaving out its steps.");
  return made;
}

const starting = ["start", "address", "answers"] as const;
/** A machine may do without them. */
const skippable = ["address", "answers"] as const;
