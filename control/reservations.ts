/**
 * What an action reserves on its machine's host before it begins: processor, memory and slot for what wakes, disk for what is copied.
 *
 * The one idea: the host's row is locked while its room is counted and taken, so two requests never count on the same room.
 */
import type { Database } from "../db/connect.ts";
import { changePlacement, findPlacement, insertPlacement, lockSupplies, type SystemReserve } from "../db/placements.ts";
import { FaultError, unwrap } from "../domain/errors.ts";
import { anywhere } from "../domain/hosts/demand.ts";
import { lacks, mayTakeMachines, type Demand, type Supply } from "../domain/hosts/rules.ts";
import { holdsProcessor, isMacOS, reserves } from "../domain/machines/rules.ts";
import type { Machine } from "../domain/machines/schema.ts";
import type { Verb } from "../domain/operations/rules.ts";

/** Reserves what a waking verb needs. Answers whether the machine held it before, and null when there was nothing to reserve. */
export async function reserveProcessor(tx: Database, machine: Machine, verb: Verb, reserve: SystemReserve): Promise<boolean | null> {
  const { id, hostId, epoch, name, vcpus, memoryBytes, diskBytes, kind, observed } = machine;
  if (!reserves(verb) || hostId === null) return null;
  const supply = await supplyOf(tx, hostId, reserve);
  const placement = await findPlacement(tx, id);
  if (placement?.runs) return null;
  if (!supply.enabled)
    throw new FaultError({
      code: "host_disabled",
      message: `${name} cannot ${verb}: its host ${supply.name} is disabled.`,
      subject: supply.name,
    });
  // The drain would have to end it again. A host that is only cordoned lets its own machines work.
  if (supply.cordon === "draining")
    throw new FaultError({
      code: "host_draining",
      message: `${name} cannot ${verb}: its host ${supply.name} is being drained.`,
      subject: supply.name,
    });
  const macos = placement?.macos ?? isMacOS(kind);
  // A machine that its host saw running is in what the host has left already.
  if (!holdsProcessor(observed) || observed === "unknown") refuseShortage(name, supply, { vcpus, memoryBytes, macos, runs: true });
  if (placement) await changePlacement(tx, id, { runs: true });
  else await insertPlacement(tx, { machineId: id, epoch, hostId, vcpus, memoryBytes, diskBytes, macos, runs: true });
  return false;
}

/** Makes sure of room for a copy; the caller inserts the placement that takes it. */
export async function reserveDisk(
  tx: Database,
  { hostId, name, diskBytes }: { hostId: string; name: string; diskBytes: number },
  reserve: SystemReserve,
): Promise<void> {
  const supply = await supplyOf(tx, hostId, reserve);
  unwrap(mayTakeMachines(supply));
  refuseShortage(name, supply, { diskBytes });
}

async function supplyOf(tx: Database, hostId: string, reserve: SystemReserve): Promise<Supply> {
  const [supply] = await lockSupplies(tx, reserve, [hostId]);
  if (!supply) throw new FaultError({ code: "host_not_found", message: `There is no host ${hostId} that has reported.`, subject: hostId });
  return supply;
}

/** Only room counts here: a host that is silent is waited for. */
function refuseShortage(
  name: string,
  supply: Supply,
  needed: Partial<Pick<Demand, "vcpus" | "memoryBytes" | "diskBytes" | "macos" | "runs">>,
): void {
  const nothing = { vcpus: 0, memoryBytes: 0, diskBytes: 0, macos: false, runs: false };
  const demand: Demand = { ...nothing, ...needed, architecture: supply.architecture, ...anywhere, tolerates: supply.taints };
  const missing = lacks({ ...supply, state: "online", enabled: true, cordon: null }, demand);
  if (missing.length === 0) return;
  const message = `The host of ${name} has no room: ${supply.name} ${missing.join(", ")}.`;
  throw new FaultError({
    code: "no_capacity",
    message,
    subject: supply.name,
    details: { hosts: [`${supply.name} ${missing.join(", ")}`] },
  });
}
