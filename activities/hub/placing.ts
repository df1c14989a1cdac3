/**
 * Chooses the host of a new machine and takes its room there.
 *
 * The one idea: the host that was chosen is locked and looked at once more, so the choice is still right when it is committed. A placement that stands is
 * answered again; one on a host that was given up is followed by the next epoch.
 */
import type { Database } from "../../db/connect.ts";
import { chooseTree } from "../../db/grants.ts";
import { findImageById } from "../../db/images.ts";
import { findMachine, updateMachine } from "../../db/machines.ts";
import { locateOperation } from "../../db/operations.ts";
import { deletePlacement, findPlacement, insertPlacement, lockOneOf, readSupplies, type SystemReserve } from "../../db/placements.ts";
import { heldByProjects, waitingMachines, Wished } from "../../db/queue.ts";
import type { ImageVersion } from "../../domain/catalog/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { writeProgress } from "../../db/steps.ts";
import { demandOf } from "../../domain/hosts/demand.ts";
import { inTurn, leftBy, type Waiting } from "../../domain/hosts/queue.ts";
import { candidates, lacking, lacks, looksAtLabels, type Demand, type Supply } from "../../domain/hosts/rules.ts";
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

const ProvisionRequest = Permitted.extend(Wished.shape);

export async function placeMachine(
  { db, hubId, reserve }: Placing,
  { operationId, excluded }: { operationId: string; excluded: string[] },
): Promise<Placement> {
  return db.transaction(async (tx) => {
    const { operation, input } = await underWay(tx, operationId, ProvisionRequest);
    // Sent together, carried out in this order.
    const asked = await Promise.all([
      findMachine(tx, operation.machineId ?? "", { lock: true }),
      findImageById(tx, input.imageVersionId),
      findPlacement(tx, operation.machineId ?? ""),
      waitingMachines(tx),
    ]);
    const [machine, image] = [unwrap(asked[0]), unwrap(asked[1])];
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

    const [, , standing, waiting] = asked;
    if (standing && !excluded.includes(standing.hostId)) return answer(standing.hostId, standing.epoch);
    if (standing) await deletePlacement(tx, machine.id);

    const demand = demandOf(machine, image, input, excluded);
    const before = await turnsBefore(tx, waiting, { machine, priority: input.priority, demand });
    const { id: hostId, cached } = await takeHost(tx, { reserve, demand, before });
    const epoch = machine.hostId === null ? machine.epoch : machine.epoch + 1;
    const { vcpus, memoryBytes, macos, diskBytes, runs } = demand;
    await Promise.all([
      insertPlacement(tx, { machineId: machine.id, epoch, hostId, vcpus, memoryBytes, diskBytes, macos, runs }),
      updateMachine(tx, machine.id, { hostId, epoch, pending: null }),
      locateOperation(tx, operationId, { hostId }),
    ]);
    return answer(hostId, epoch, cached.includes(told.wanted.digest));
  });
}

interface Taking {
  readonly reserve: SystemReserve;
  readonly demand: Demand;
  readonly before: readonly Waiting[];
}

interface Turn {
  readonly machine: Machine;
  readonly priority: number;
  readonly demand: Demand;
}

/** Those that wait for room and have their turn before this one. */
async function turnsBefore(tx: Database, waiting: readonly Waiting[], { machine, priority, demand }: Turn): Promise<Waiting[]> {
  const others = waiting.filter(({ machineId }) => machineId !== machine.id);
  if (others.length === 0) return [];
  const sinceMs = machine.pending === null ? Date.now() : Date.parse(machine.pending.since);
  const own = { machineId: machine.id, project: machine.project, labels: machine.labels, priority, sinceMs, demand };
  const order = inTurn([...others, own], await heldByProjects(tx));
  return order.slice(0, order.indexOf(own));
}

/** Locks the host that it answers. Many that are placed at once wait for one another only where one host is all that is left. */
async function takeHost(tx: Database, { reserve, demand, before }: Taking): Promise<Supply> {
  const withLabels = looksAtLabels([demand, ...before.map((other) => other.demand)]);
  for (;;) {
    const best = unwrap(candidates(leftBy(await readSupplies(tx, reserve, { withLabels }), before), demand));
    const taken = await tx.transaction((attempt) => lockIfFree(attempt, { reserve, demand, best, withLabels })).catch(unlessFilled);
    if (taken) return taken;
  }
}

/** Another placement took the room between the look and the lock, which is given back: the next look sees what is left. */
class FilledMeanwhile extends Error {}
const unlessFilled = (error: unknown): null => {
  if (error instanceof FilledMeanwhile) return null;
  throw error;
};

async function lockIfFree(
  attempt: Database,
  { reserve, demand, best, withLabels }: Omit<Taking, "before"> & { readonly best: readonly Supply[]; readonly withLabels: boolean },
): Promise<Supply> {
  const hostId = await lockOneOf(
    attempt,
    best.map(({ id }) => id),
  );
  const [supply] = await readSupplies(attempt, reserve, { hostIds: [hostId], withLabels });
  if (!supply || lacks(supply, demand).length > 0) throw new FilledMeanwhile();
  return supply;
}

/** Notes that the machine waits, since when and for what. */
export async function awaitRoom(
  { db, reserve }: Placing,
  { operationId, excluded, until }: { operationId: string; excluded: string[]; until: string },
): Promise<void> {
  await db.transaction(async (tx) => {
    const { operation, input } = await underWay(tx, operationId, ProvisionRequest);
    const machine = unwrap(await findMachine(tx, operation.machineId ?? "", { lock: true }));
    const image = unwrap(await findImageById(tx, input.imageVersionId));
    const demand = demandOf(machine, image, input, excluded);
    const hosts = lacking(await readSupplies(tx, reserve, { withLabels: looksAtLabels([demand]) }), demand);
    const since = machine.pending?.since ?? new Date().toISOString();
    await writeProgress(tx, operationId, "place", { doneBytes: 0, totalBytes: 0, waitsFor: "room on a host" });
    await updateMachine(tx, machine.id, { pending: { since, until, priority: input.priority, ahead: 0, hosts } });
  });
}

function toldOf({ id: machineId, name, description, vcpus, memoryBytes }: Machine, { probe }: ImageVersion, wanted: Wanted) {
  return { machineId, name, description, vcpus, memoryBytes, probe, wanted };
}
