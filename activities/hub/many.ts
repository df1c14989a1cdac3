/**
 * What the hub does for a batch of machines: places all in one transaction, records what a host made in one, and lets the rest fall out.
 *
 * The one idea: the hosts that could take any of them are locked once, in one order, and all are placed in memory by the rule that places one. So many that are
 * placed together never take more than there is, and a batch waits behind whoever has the turn before it.
 */
import { lockMachines } from "../../db/batched-machines.ts";
import { lockBatch, type BatchedRow } from "../../db/batches.ts";
import { writePlacements, type BatchedPlacement } from "../../db/batched-placing.ts";
import { settleMade } from "../../db/batched-settlement.ts";
import type { Database } from "../../db/connect.ts";
import { findImageById } from "../../db/images.ts";
import { findPlacements, lockSupplies, readSupplies } from "../../db/placements.ts";
import { heldByProjects, waitingMachines, Wished } from "../../db/queue.ts";
import type { ImageVersion } from "../../domain/catalog/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { demandOf } from "../../domain/hosts/demand.ts";
import { inTurn, placeInTurn, type Waiting } from "../../domain/hosts/queue.ts";
import { lacks, looksAtLabels, type Supply } from "../../domain/hosts/rules.ts";
import { Machine } from "../../domain/machines/schema.ts";
import type { Wanted } from "../../workflows/catalog/fetch.ts";
import type { BatchActivities, BatchedMachine, PlacedMany } from "../../workflows/machines/provision-many.ts";
import { wantedOf } from "./catalog.ts";
import { mustBeAllowed, Permitted } from "./permission.ts";
import type { Placing } from "./placing.ts";

export interface Batching extends Placing {
  readonly handOver: BatchActivities["handOver"];
}

export function batchActivities({ handOver, ...placing }: Batching): BatchActivities {
  return {
    placeMany: (input) => placeMany(placing, input),
    recordMany: (input) => placing.db.transaction((tx) => recordMany(tx, input)),
    handOver,
  };
}

type Recording = Parameters<BatchActivities["recordMany"]>[0];

async function recordMany(tx: Database, { batch, hostId, shared, made }: Recording): Promise<void> {
  const seen = new Map(made.map((one) => [one.operationId, one.made]));
  const rows = await lockBatch(tx, batch, [...seen.keys()]);
  const machines = await machinesOf(tx, rows);
  const { start: runs, wanted } = shared;
  const settled = rows.flatMap(({ operation, requestId }) => {
    const [machine, found] = [machines.get(operation.machineId ?? ""), seen.get(operation.id)];
    if (!machine || !found || machine.hostId !== hostId) return [];
    const { id: machineId, name, observed: before } = machine;
    const addresses = [...found.addresses];
    const result = { machineId, hostId, image: wanted.image, fetchedBytes: 0, addresses, batch };
    return [{ operation, requestId, machineId, name, hostId, before, runs, seen: { ...found, addresses }, result }];
  });
  await settleMade(tx, settled, stepsOf(runs, "done"));
}

/** As the workflow of one machine names them. */
function stepsOf(start: boolean, state: "pending" | "done") {
  const making = ["make room", "clone", "register", "configure", ...(start ? ["start", "address", "answers"] : [])];
  const names = ["place", ...making, ...(state === "done" ? ["record"] : [])];
  return names.map((name, position) => ({ name, position, state: name === "place" ? ("done" as const) : state }));
}

async function machinesOf(tx: Database, rows: readonly BatchedRow[]): Promise<Map<string, Machine>> {
  if (rows.length === 0) return new Map();
  const ids = rows.map(({ operation }) => operation.machineId ?? "");
  return new Map((await lockMachines(tx, ids)).map((row) => [row.id, Machine.parse(row)]));
}

const Request = Permitted.extend(Wished.shape);

async function placeMany({ db, hubId, reserve }: Placing, { batch }: { batch: string }): Promise<PlacedMany> {
  return db.transaction(async (tx) => {
    const rows = await lockBatch(tx, batch);
    const [first] = rows;
    if (!first) return { shared: null, hosts: [], left: [] };
    const machines = await machinesOf(tx, rows);
    const input = Request.parse(first.input);
    const image = unwrap(await findImageById(tx, input.imageVersionId));
    mustBeAllowed(image, input);
    const wanted = await wantedOf(tx, image);
    const members = rows.flatMap(({ operation }) => {
      const machine = machines.get(operation.machineId ?? "");
      return machine ? [{ operation, machine }] : [];
    });
    const [one] = members;
    if (!one) return { shared: null, hosts: [], left: [] };
    // What stands was placed by this activity before its worker died.
    const standing = new Map((await findPlacements(tx, [...machines.keys()])).map(({ machineId, hostId }) => [machineId, hostId]));
    const fresh = members.filter(({ machine }) => !standing.has(machine.id));
    const asking: Asking = { fresh, image, input, wanted };
    const placed = await choose(tx, reserve, asking);
    await writePlacements(tx, placed, { digest: image.digest, steps: stepsOf(input.start, "pending") });
    for (const { placement } of placed) standing.set(placement.machineId, placement.hostId);
    const { vcpus, memoryBytes } = one.machine;
    const only = input.hostId === null ? {} : { only: true };
    const shared = { hubId, start: input.start, vcpus, memoryBytes, probe: image.probe, wanted, cached: true, ...only };
    return { shared, ...byHost(members, standing) };
  });
}

type Member = Pick<BatchedRow, "operation"> & { readonly machine: Machine };

interface Asking {
  readonly fresh: readonly Member[];
  readonly image: ImageVersion;
  readonly input: ReturnType<typeof Request.parse>;
  readonly wanted: Wanted;
}

/** Only hosts that have the image: whoever has to fetch it first does so alone. */
async function choose(tx: Database, reserve: Placing["reserve"], { fresh, image, input, wanted }: Asking): Promise<BatchedPlacement[]> {
  const [first] = fresh;
  if (!first) return [];
  const waiting = await waitingMachines(tx);
  const demand = demandOf(first.machine, image, input);
  const withLabels = looksAtLabels([demand, ...waiting.map((other) => other.demand)]);
  const isWarm = (supply: Supply) => supply.cached.includes(wanted.digest);
  const before = await readSupplies(tx, reserve, { withLabels });
  const fit = before.filter((supply) => isWarm(supply) && lacks(supply, demand).length === 0).map(({ id }) => id);
  if (fit.length === 0) return [];
  const locked = new Map((await lockSupplies(tx, reserve, fit, { withLabels })).map((supply) => [supply.id, supply]));
  const supplies = before.map((supply) => locked.get(supply.id) ?? supply);
  const now = Date.now();
  const own = fresh.map(({ machine }): Waiting => {
    const { id: machineId, project, labels } = machine;
    return { machineId, project, labels, priority: input.priority, sinceMs: now, demand };
  });
  const order = waiting.length === 0 ? own : inTurn([...waiting, ...own], await heldByProjects(tx));
  const chosen = placeInTurn(supplies, order);
  const { vcpus, memoryBytes, diskBytes, macos, runs } = demand;
  return fresh.flatMap(({ operation, machine }) => {
    const host = chosen.get(machine.id);
    if (host === undefined || !locked.has(host.id) || !isWarm(host)) return [];
    return [
      {
        operation,
        placement: { machineId: machine.id, epoch: machine.epoch, hostId: host.id, vcpus, memoryBytes, diskBytes, macos, runs },
      },
    ];
  });
}

function byHost(members: readonly Member[], standing: ReadonlyMap<string, string>): Pick<PlacedMany, "hosts" | "left"> {
  const left = members.filter(({ machine }) => !standing.has(machine.id)).map(({ operation }) => operation.id);
  const placed = members.filter(({ machine }) => standing.has(machine.id));
  const hosts = [...Map.groupBy(placed, ({ machine }) => standing.get(machine.id) ?? "")].map(([hostId, those]) => ({
    hostId,
    machines: those.map(({ operation, machine }): BatchedMachine => {
      const { id: machineId, name, description, epoch } = machine;
      return { operationId: operation.id, machineId, name, description, epoch };
    }),
  }));
  return { hosts, left };
}
