/**
 * Runs workflows on a real Temporal server against fake worlds: one hub worker and a worker for each of two hosts, each on its own queue.
 *
 * The one idea: every activity is told its operation, so the workers serve many operations at once, each in a world of its own.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { Context } from "@temporalio/activity";
import { Client, Connection, type WorkflowHandle } from "@temporalio/client";
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker, type WorkflowBundleOption } from "@temporalio/worker";
import { setupNamespace } from "../../deploy/temporal-setup.ts";
import { hostQueue, hubQueue, type OnFault } from "../../domain/operations/rules.ts";
import { workflowBundle as keptBundle } from "../../workers/bundle.ts";
import { faultInterceptor } from "../../workers/faults.ts";
import type { OperationInput } from "../../workflows/records.ts";
import { archivesOfHost, archivesOfHub } from "./archives.ts";
import { batchesOfHost, batchesOfHub } from "./batches.ts";
import { careOfHost, careOfHub } from "./care.ts";
import { deliveriesOfHub } from "./deliveries.ts";
import { drainsOfHub } from "./drains.ts";
import { poolsOfHub } from "./pools.ts";
import { hostOf, hubOf, newWorld, type World } from "./world.ts";

// Faults are what these tests are about: only what nobody foresaw is worth a line.
const logger = new DefaultLogger("ERROR");
Runtime.install({ logger });

export const bundleOf = (workflowsPath: string): Promise<WorkflowBundleOption> => bundleWorkflowCode({ workflowsPath, logger });
/** The product's own workflows, built once for all suites. */
export const ownBundle = (): Promise<WorkflowBundleOption> => keptBundle(logger);

export interface Harness {
  readonly client: Client;
  readonly workflowBundle: WorkflowBundleOption;
  /** Hosts by the name that worlds know them by. */
  readonly hosts: Readonly<Record<HostName, string>>;
  readonly worlds: Worlds;
  readonly runs: Set<Run>;
  /** Ends the hub's worker as an upgrade does, and starts one that runs this code. */
  replaceHub(workflowBundle: WorkflowBundleOption): Promise<void>;
  /** Ends what a failed test left running. */
  endAll(): Promise<void>;
  close(): Promise<void>;
}

const hostNames = ["mac-1", "mac-2"] as const;
export type HostName = (typeof hostNames)[number];

type Act = (input: { operationId: string; prefetchId?: string; deliveryId?: string; poolId?: string; batch?: string }) => Promise<unknown>;
type Activities = Readonly<Record<string, Act>>;
/** What the operations under way see, by operation: the hub's activities and each host's. */
type Worlds = Map<string, Readonly<Record<"hub" | HostName, Activities>>>;

export async function openHarness(address: string): Promise<Harness> {
  // The hub's queue has one name, so a suite's own namespace keeps it apart from the others'.
  const namespace = `test-${randomUUID()}`;
  const [native, connection, workflowBundle] = await Promise.all([
    NativeConnection.connect({ address }),
    Connection.connect({ address }),
    ownBundle(),
  ]);
  await setupNamespace(connection, namespace);
  const worlds: Worlds = new Map();
  const hosts = { "mac-1": randomUUID(), "mac-2": randomUUID() };
  const shared = { connection: native, namespace, interceptors: { activity: [faultInterceptor()] } };
  const startHub = (bundle: WorkflowBundleOption) =>
    started({ ...shared, taskQueue: hubQueue, workflowBundle: bundle, activities: dispatched(worlds, "hub") });
  const macs = await Promise.all(
    hostNames.map((name) =>
      started({
        ...shared,
        taskQueue: hostQueue(hosts[name]),
        activities: dispatched(worlds, name),
        maxHeartbeatThrottleInterval: "100 milliseconds",
      }),
    ),
  );
  let hub = await startHub(workflowBundle);
  const runs = new Set<Run>();
  const endAll = async () => {
    for (const run of runs) await run.handle.terminate("the test is over").catch(() => undefined);
    await Promise.all([...runs].map(({ ended }) => ended));
    runs.clear();
  };
  return {
    client: new Client({ connection, namespace }),
    workflowBundle,
    hosts,
    worlds,
    runs,
    endAll,
    replaceHub: async (bundle) => {
      await hub.stop();
      hub = await startHub(bundle);
    },
    close: async () => {
      await endAll();
      await Promise.all([hub, ...macs].map((worker) => worker.stop()));
      await native.close();
      await connection.close();
    },
  };
}

async function started(options: Parameters<typeof Worker.create>[0]): Promise<{ stop: () => Promise<void> }> {
  const worker = await Worker.create(options);
  const running = worker.run();
  return {
    stop: async () => {
      worker.shutdown();
      await running;
    },
  };
}

/** Each activity goes to the world of the operation that asks. */
function dispatched(worlds: Worlds, part: "hub" | HostName): Activities {
  const names = Object.keys(activitiesOf(newWorld(), [])[part]);
  const act =
    (name: string): Act =>
    async (input) => {
      // The pulls of a prefetch happen in its world.
      const parent = input.prefetchId === undefined ? undefined : worlds.get(input.prefetchId);
      if (parent) worlds.set(input.operationId, parent);
      const id = input.deliveryId ?? input.poolId ?? input.batch ?? input.operationId;
      const found = worlds.get(id)?.[part][name];
      if (!found) throw new Error(`Nobody plays ${name} for operation ${id}.`);
      return found(input);
    };
  return Object.fromEntries(names.map((name) => [name, act(name)]));
}

function activitiesOf(world: World, hostIds: readonly string[]): Readonly<Record<"hub" | HostName, Activities>> {
  const host = (name: HostName) => ({
    ...hostOf(world, name, untilCancelled),
    ...archivesOfHost(world, name, untilCancelled),
    ...batchesOfHost(world, name, untilCancelled),
    ...careOfHost(world, name, untilCancelled),
  });
  const hub = {
    ...hubOf(world, hostIds, untilCancelled),
    ...archivesOfHub(world, untilCancelled),
    ...batchesOfHub(world, hostIds),
    ...careOfHub(world, untilCancelled),
    ...deliveriesOfHub(world),
    ...drainsOfHub(world, untilCancelled),
    ...poolsOfHub(world),
  };
  return { hub, "mac-1": host("mac-1"), "mac-2": host("mac-2") } as unknown as Record<"hub" | HostName, Activities>;
}

export interface Run {
  readonly operationId: string;
  readonly handle: WorkflowHandle;
  readonly hosts: Readonly<Record<HostName, string>>;
  /** Ends when the workflow does, whichever way. */
  readonly ended: Promise<void>;
  until(met: () => boolean | Promise<boolean>, what: string): Promise<void>;
}

/** Starts one operation in its world. `input` gets the host ids by their names. */
export async function begin(
  harness: Harness,
  world: World,
  type: string,
  input: (host: (name: HostName) => string) => object,
  options: { onFault?: OnFault; parkLimitMs?: number } = {},
): Promise<Run> {
  const operationId = randomUUID();
  const { client, hosts, worlds, runs } = harness;
  worlds.set(operationId, activitiesOf(world, Object.values(hosts)));
  const frame: OperationInput = {
    interfaceVersion: 1,
    operationId,
    onFault: options.onFault ?? "park",
    parkLimitMs: options.parkLimitMs ?? 60_000,
  };
  const handle = await client.workflow.start(type, {
    taskQueue: hubQueue,
    workflowId: `${type}/test/${operationId}`,
    args: [{ ...frame, deliveryId: operationId, poolId: operationId, batch: operationId, ...input((name) => hosts[name]) }],
  });
  const ended = handle.result().then(
    () => undefined,
    () => undefined,
  );
  const run: Run = { operationId, handle, hosts, ended, until: untilMet };
  runs.add(run);
  return run;
}

/** An activity that ends only by cancellation, as a stuck transfer would. */
const untilCancelled = (): Promise<void> => beating(() => Context.current().cancelled.then(() => undefined));

/** Runs what an activity waits for, with signs of life meanwhile. */
export async function beating<T>(wait: () => Promise<T>): Promise<T> {
  const context = Context.current();
  const beats = setInterval(() => context.heartbeat(), 100);
  try {
    return await wait();
  } finally {
    clearInterval(beats);
  }
}

async function untilMet(met: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const limit = Date.now() + 20_000;
  while (!(await met())) {
    if (Date.now() > limit) throw new Error(`waited 20 s in vain until ${what}`);
    await delay(20);
  }
}
