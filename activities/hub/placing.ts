/**
 * Chooses the host of a new machine and takes its room there.
 *
 * The one idea: all hosts are locked while one is chosen, so the choice is still right when it is committed. A placement that stands is answered again;
 * one on a host that was given up is followed by the next epoch.
 */
import { z } from "zod";
import type { Database } from "../../db/connect.ts";
import { chooseTree } from "../../db/grants.ts";
import { findImageById } from "../../db/images.ts";
import { findMachine, updateMachine } from "../../db/machines.ts";
import { locateOperation } from "../../db/operations.ts";
import { deletePlacement, findPlacement, insertPlacement, lockSupplies, type SystemReserve } from "../../db/placements.ts";
import type { ImageVersion } from "../../domain/catalog/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { place, type Demand } from "../../domain/hosts/rules.ts";
import { isMacOS } from "../../domain/machines/rules.ts";
import type { Machine } from "../../domain/machines/schema.ts";
import type { Wanted } from "../../workflows/catalog/fetch.ts";
import type { Placement } from "../../workflows/machines/provision.ts";
import { wantedOf } from "./catalog.ts";
import { mustBeAllowed, Permitted } from "./permission.ts";
import { underWay } from "./under-way.ts";

export interface Placing {
  readonly db: Database;
  readonly hubId: string;
  readonly reserve: SystemReserve;
}

const ProvisionRequest = Permitted.extend({ hostId: z.string().nullable(), hostLabels: z.array(z.string()), start: z.boolean() });
type ProvisionRequest = z.infer<typeof ProvisionRequest>;

export async function placeMachine(
  { db, hubId, reserve }: Placing,
  { operationId, excluded }: { operationId: string; excluded: string[] },
): Promise<Placement> {
  return db.transaction(async (tx) => {
    const { operation, input } = await underWay(tx, operationId, ProvisionRequest);
    const machine = unwrap(await findMachine(tx, operation.machineId ?? "", { lock: true }));
    const image = unwrap(await findImageById(tx, input.imageVersionId));
    mustBeAllowed(image, input);
    // The version may point elsewhere than when the machine was asked for: what is placed now is what it is made from.
    await chooseTree(tx, operationId, image);
    if (machine.digest !== image.digest) await updateMachine(tx, machine.id, { digest: image.digest });
    const told = toldOf(machine, image, await wantedOf(tx, image));
    const answer = (hostId: string, epoch: number, cached = false): Placement => ({
      hostId,
      epoch,
      cached,
      hubId,
      start: input.start,
      ...(input.hostId === null ? {} : { only: true }),
      ...told,
    });

    const standing = await findPlacement(tx, machine.id);
    if (standing && !excluded.includes(standing.hostId)) return answer(standing.hostId, standing.epoch);
    if (standing) await deletePlacement(tx, machine.id);

    const demand = demandOf(machine, image, input, excluded);
    const { id: hostId, cached } = unwrap(place(await lockSupplies(tx, reserve), demand));
    const epoch = machine.hostId === null ? machine.epoch : machine.epoch + 1;
    const { vcpus, memoryBytes, macos, diskBytes, runs } = demand;
    await insertPlacement(tx, { machineId: machine.id, epoch, hostId, vcpus, memoryBytes, diskBytes, macos, runs });
    await updateMachine(tx, machine.id, { hostId, epoch });
    await locateOperation(tx, operationId, { hostId });
    return answer(hostId, epoch, cached.includes(told.wanted.digest));
  });
}

function demandOf(
  { vcpus, memoryBytes, diskBytes, kind }: Machine,
  { architecture, digest }: ImageVersion,
  input: ProvisionRequest,
  excluded: readonly string[],
): Demand {
  const { hostId, hostLabels: anyLabel, start: runs } = input;
  return {
    architecture,
    vcpus,
    memoryBytes,
    diskBytes,
    macos: isMacOS(kind),
    hostId: hostId ?? undefined,
    anyLabel,
    digest,
    excluded,
    runs,
  };
}

function toldOf({ id: machineId, name, description, vcpus, memoryBytes }: Machine, { probe }: ImageVersion, wanted: Wanted) {
  return { machineId, name, description, vcpus, memoryBytes, probe, wanted };
}
