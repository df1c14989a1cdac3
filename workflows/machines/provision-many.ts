/**
 * Makes many machines of one image: placed together, made by one activity per host, recorded together per host.
 *
 * The one idea: it does what goes well and nothing else. An operation that it does not bring to its end falls out into the workflow of its own, so waiting,
 * parking and undo are in one place; and nothing is lost when this workflow is ended from outside.
 */
import { CancellationScope } from "@temporalio/workflow";
import { onHost, quick } from "../proxies.ts";
import { nameActivities } from "../shown.ts";
import type { MadeMachine, Placement } from "./provision.ts";

export interface ProvisionManyInput {
  readonly interfaceVersion: 1;
  readonly batch: string;
}

/** What differs from machine to machine. */
export type BatchedMachine = Pick<Placement, "machineId" | "name" | "description" | "epoch"> & { readonly operationId: string };
/** What all machines of the batch have in common. */
export type SharedPlacement = Omit<Placement, "machineId" | "name" | "description" | "epoch" | "hostId">;

export interface PlacedMany {
  /** Null where nothing was placed. */
  readonly shared: SharedPlacement | null;
  readonly hosts: readonly { readonly hostId: string; readonly machines: readonly BatchedMachine[] }[];
  /** Operations that found no room, or none where the image is. */
  readonly left: readonly string[];
}
export interface BatchedMade {
  readonly operationId: string;
  readonly made: MadeMachine;
}

/** Implemented in `activities/hub/many.ts`. All leave alone what has fallen out of the batch. */
export interface BatchActivities {
  /** Chooses hosts and reserves their capacity for all in one transaction; asked again it answers the same choice. */
  placeMany(input: { batch: string }): Promise<PlacedMany>;
  /** Records what one host made and settles its operations, in one transaction. */
  recordMany(input: { batch: string; hostId: string; shared: SharedPlacement; made: readonly BatchedMade[] }): Promise<void>;
  /** Lets operations fall out, or all that are left. */
  handOver(input: { batch: string; operationIds?: readonly string[] }): Promise<void>;
}

/** Implemented in `activities/host/many.ts`. */
export interface HostBatchActivities {
  /** Makes each like `createMachine`; answers those that were made. What met a fault is left as it stands. */
  createMachines(input: {
    batch: string;
    hostId: string;
    shared: SharedPlacement;
    machines: readonly BatchedMachine[];
  }): Promise<{ made: readonly BatchedMade[] }>;
}

const hub = quick<BatchActivities>();

export async function provisionMany({ batch }: ProvisionManyInput): Promise<Record<string, unknown>> {
  nameActivities("place", batch);
  try {
    const { shared, hosts, left } = await hub.placeMany({ batch });
    nameActivities("make");
    const making = shared ? hosts.map((host) => makeOn({ batch, shared, ...host })) : [];
    const waiting = left.length > 0 ? hub.handOver({ batch, operationIds: left }) : null;
    const [made] = await Promise.all([Promise.all(making), waiting]);
    return { made: sum(made) };
  } finally {
    // Also when it is cancelled: who cancels the batch has not cancelled its operations.
    await CancellationScope.nonCancellable(() => hub.handOver({ batch }));
  }
}

type Making = Parameters<HostBatchActivities["createMachines"]>[0];

/** Answers how many were made. What this host did not make goes on at once, while others still work. */
async function makeOn({ batch, hostId, shared, machines }: Making): Promise<number> {
  const host = onHost<HostBatchActivities>(hostId, `${machines.length} machines`);
  const made = await host.createMachines({ batch, hostId, shared, machines }).then(
    (answer) => answer.made,
    () => [],
  );
  if (made.length > 0) await hub.recordMany({ batch, hostId, shared, made });
  const done = new Set(made.map(({ operationId }) => operationId));
  const operationIds = machines.map(({ operationId }) => operationId).filter((id) => !done.has(id));
  if (operationIds.length > 0) await hub.handOver({ batch, operationIds });
  return made.length;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);
