/**
 * What the hub knows of machines while their operations run: where they are placed, what came of an action, that they are gone.
 *
 * The one idea: an operation that has ended changes nothing any more, so a workflow that was pushed aside on a lost host may finish without harm.
 */
import { z } from "zod";
import type { Database } from "../../db/connect.ts";
import { findMachine, recordActed, retireRow, tellMachine } from "../../db/machines.ts";
import { recordSeen } from "../../db/observed.ts";
import { changePlacement, deletePlacement, insertPlacement } from "../../db/placements.ts";
import { mustFit } from "../../db/projects.ts";
import { Before, releaseReserved } from "../../db/settlement.ts";
import { growthOf } from "../../domain/access/projects.ts";
import { withoutAbsent } from "../../domain/fields.ts";
import { desiredBy, desiredStates, holdsProcessor, isMacOS, type DesiredState } from "../../domain/machines/rules.ts";
import { Verb } from "../../domain/operations/schema.ts";
import type { AdoptActivities, AdoptedEffect } from "../../workflows/machines/adopt.ts";
import type { ActionActivities, Effect } from "../../workflows/machines/operate.ts";
import type { PlacementActivities } from "../../workflows/machines/provision.ts";
import type { RetireActivities } from "../../workflows/machines/retire.ts";
import { awaitRoom, placeMachine, type Placing } from "./placing.ts";
import { takeOver, type Preempting } from "./take-over.ts";
import { underWay } from "./under-way.ts";

export function placementActivities(deps: Placing): PlacementActivities {
  const { db } = deps;
  return {
    placeMachine: (input) => placeMachine(deps, input),
    awaitRoom: (input) => awaitRoom(deps, input),
    releasePlacement: ({ operationId, machineId, epoch }) =>
      db.transaction(async (tx) => {
        await underWay(tx, operationId, z.unknown());
        await deletePlacement(tx, machineId, epoch);
      }),
    forgetMachine: ({ operationId, machineId }) =>
      db.transaction(async (tx) => {
        await underWay(tx, operationId, z.unknown());
        await retireRow(tx, machineId, "machine.forgotten");
        await deletePlacement(tx, machineId);
      }),
    recordMachine: ({ operationId, placement, made }) =>
      db.transaction(async (tx) => {
        await underWay(tx, operationId, z.unknown());
        const { machineId } = placement;
        const seen = { ...made, addresses: [...made.addresses] };
        const machine = await recordActed(tx, machineId, placement.start ? "running" : "stopped", seen);
        await changePlacement(tx, machineId, { runs: placement.start, diskBytes: made.diskBytes });
        if (machine) await tellMachine(tx, machine, "machine.ready", { hostId: placement.hostId });
      }),
  };
}

export function actionActivities(deps: Preempting): ActionActivities {
  const { db } = deps;
  return {
    takeOver: (input) => takeOver(deps, input),
    recordAction: ({ operationId, effect }) => db.transaction((tx) => recordAction(tx, operationId, effect)),
    releaseAction: ({ operationId }) => releaseReserved(db, operationId),
  };
}

export function retireActivities({ db }: { db: Database }): RetireActivities {
  return {
    recordRetired: ({ operationId, machineId }) =>
      db.transaction(async (tx) => {
        await underWay(tx, operationId, z.unknown());
        await retireRow(tx, machineId, "machine.retired");
        await deletePlacement(tx, machineId);
      }),
  };
}

export function adoptActivities({ db }: { db: Database }): AdoptActivities {
  return { recordAdopted: ({ operationId, effect }) => db.transaction((tx) => recordAdopted(tx, operationId, effect)) };
}

const AdoptionInput = z.object({ hostId: z.string(), epoch: z.number() });

async function recordAdopted(tx: Database, operationId: string, effect: AdoptedEffect): Promise<void> {
  const { operation, input } = await underWay(tx, operationId, AdoptionInput);
  const machineId = operation.machineId ?? "";
  const { observed, addresses, bundlePath, macAddress, diskBytes, seen } = effect;
  const { hostId, epoch } = input;
  const sizes = { vcpus: seen.vcpus, memoryBytes: seen.memoryBytes };
  const known = { addresses: addresses && [...addresses], bundlePath, macAddress, diskBytes, guestOs: seen.guestOs, ...sizes };
  const desired = isDesired(observed) ? observed : undefined;
  // Of a bundle that nobody reported its size is known only now.
  const before = await findMachine(tx, machineId, { lock: true });
  if (before.ok) await mustFit(tx, before.value.project, growthOf(before.value, sizes));
  const machine = await recordActed(tx, machineId, observed, withoutAbsent({ ...known, desired, hostId, epoch }));
  if (!machine) return;
  await recordSeen(tx, hostId, [seen]);
  await deletePlacement(tx, machineId);
  const { vcpus, memoryBytes, kind } = machine;
  const room = { vcpus, memoryBytes, diskBytes: machine.diskBytes, macos: isMacOS(kind), runs: holdsProcessor(observed) };
  await insertPlacement(tx, { machineId, epoch, hostId, ...room });
  await tellMachine(tx, machine, "machine.adopted", { hostId, epoch });
}

const ActionInput = z.object({
  action: z.object({
    verb: Verb,
    vcpus: z.number().optional(),
    memoryBytes: z.number().optional(),
    description: z.string().optional(),
  }),
  before: Before,
});

/** The effect of a clone is told of the machine that it made; any other, of the machine itself. */
async function recordAction(tx: Database, operationId: string, effect: Effect): Promise<void> {
  const { operation, input } = await underWay(tx, operationId, ActionInput);
  const { verb, vcpus, memoryBytes, description } = input.action;
  const machineId = input.before.cloneId ?? operation.machineId ?? "";
  const { observed, addresses, bundlePath, macAddress, diskBytes } = effect;
  const sizes = verb === "configure" ? { vcpus, memoryBytes } : {};
  const seen = {
    addresses: addresses && [...addresses],
    bundlePath,
    macAddress,
    diskBytes,
    ...sizes,
    ...(verb === "configure" ? { description } : {}),
  };
  // Written again here, because an operation that this one pushed aside put its own back.
  const desired = desiredBy(verb) ?? (verb === "snapshot-revert" && isDesired(observed) ? observed : undefined);
  const machine = await recordActed(tx, machineId, observed, withoutAbsent({ ...seen, desired }));
  if (!machine) return;
  await changePlacement(tx, machineId, withoutAbsent({ runs: holdsProcessor(observed), diskBytes, ...sizes }));
  if (input.before.cloneId !== undefined) await tellMachine(tx, machine, "machine.ready", { hostId: machine.hostId });
  if (verb === "rename") await tellRenamed(tx, machineId, input.before.name);
}

async function tellRenamed(tx: Database, machineId: string, before: string | undefined): Promise<void> {
  const machine = await findMachine(tx, machineId);
  if (machine.ok) await tellMachine(tx, machine.value, "machine.renamed", { before });
}

const isDesired = (state: string): state is DesiredState => (desiredStates as readonly string[]).includes(state);
