/**
 * Runs workflows on a real Temporal server against a fake world: one hub worker and one worker per host, each on its own queue.
 *
 * Every run has ids of its own, so tests share the server without meeting each other.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { Context } from "@temporalio/activity";
import { Client, Connection, type WorkflowHandle } from "@temporalio/client";
import { bundleWorkflowCode, DefaultLogger, NativeConnection, Runtime, Worker, type WorkflowBundleWithSourceMap } from "@temporalio/worker";
import { inject } from "vitest";
import { setupNamespace } from "../../deploy/temporal-setup.ts";
import type { OnFault } from "../../domain/operations/rules.ts";
import { faultInterceptor } from "../../workers/faults.ts";
import type { OperationInput } from "../../workflows/records.ts";
import { hostOf, hubOf, type World } from "./world.ts";

// Faults are what these tests are about: only what nobody foresaw is worth a line.
const logger = new DefaultLogger("ERROR");
Runtime.install({ logger });

export interface Harness {
  readonly client: Client;
  readonly namespace: string;
  readonly connection: NativeConnection;
  readonly workflowBundle: WorkflowBundleWithSourceMap;
  readonly runs: Set<Run>;
  /** Ends what a failed test left running, so that the next one has the queues for itself. */
  endAll(): Promise<void>;
  close(): Promise<void>;
}

export async function openHarness(): Promise<Harness> {
  const address = inject("temporalAddress");
  // The hub's queue has one name, so a suite's own namespace keeps it apart from the others'.
  const namespace = `test-${randomUUID()}`;
  const [connection, client, workflowBundle] = await Promise.all([
    NativeConnection.connect({ address }),
    Connection.connect({ address }),
    bundleWorkflowCode({ workflowsPath: new URL("../../workflows/index.ts", import.meta.url).pathname, logger }),
  ]);
  await setupNamespace(client, namespace);
  const runs = new Set<Run>();
  const endAll = async () => {
    for (const run of runs) await run.handle.terminate("the test is over").catch(() => undefined);
    await Promise.all([...runs].map(({ ended }) => ended));
    runs.clear();
  };
  const close = async () => {
    await endAll();
    await connection.close();
    await client.close();
  };
  return { client: new Client({ connection: client, namespace }), namespace, connection, workflowBundle, runs, endAll, close };
}

export interface Run {
  readonly handle: WorkflowHandle;
  /** Hosts by the name that the world knows them by; their queue names are this run's own. */
  readonly hosts: Readonly<Record<string, string>>;
  /** Ends when the workflow does, whichever way. */
  readonly ended: Promise<void>;
  until(met: () => boolean | Promise<boolean>, what: string): Promise<void>;
}

/** Starts one operation in its world. `input` gets this run's host ids by their names. */
export async function begin(
  harness: Harness,
  world: World,
  type: string,
  input: (host: (name: string) => string) => object,
  options: { onFault?: OnFault; parkLimitMs?: number } = {},
): Promise<Run> {
  const operationId = randomUUID();
  const hosts = { "mac-1": `mac-1-${operationId}`, "mac-2": `mac-2-${operationId}` };
  const shared = { connection: harness.connection, namespace: harness.namespace, interceptors: { activity: [faultInterceptor()] } };
  const hub = await Worker.create({
    ...shared,
    taskQueue: "hub",
    workflowBundle: harness.workflowBundle,
    activities: hubOf(world, Object.values(hosts)),
  });
  const macs = await Promise.all(
    Object.entries(hosts).map(([name, id]) =>
      Worker.create({
        ...shared,
        taskQueue: `host-${id}`,
        activities: hostOf(world, name, untilCancelled),
        maxHeartbeatThrottleInterval: "100 milliseconds",
      }),
    ),
  );
  const workers = [hub, ...macs];
  const running = Promise.all(workers.map((worker) => worker.run()));
  const frame: OperationInput = {
    interfaceVersion: 1,
    operationId,
    onFault: options.onFault ?? "park",
    parkLimitMs: options.parkLimitMs ?? 60_000,
  };
  const named = (name: string) => hosts[name as keyof typeof hosts];
  const handle = await harness.client.workflow.start(type, {
    taskQueue: "hub",
    workflowId: `${type}/test/${operationId}`,
    args: [{ ...frame, ...input(named) }],
  });
  const ended = handle.result().then(
    () => undefined,
    () => undefined,
  );
  void ended.then(() => workers.forEach((worker) => worker.shutdown())).then(() => running);
  const run: Run = { handle, hosts, ended: ended.then(() => running).then(() => undefined), until: untilMet };
  harness.runs.add(run);
  return run;
}

/** An activity that ends only by cancellation, as a stuck transfer would. */
async function untilCancelled(): Promise<void> {
  const beating = setInterval(() => Context.current().heartbeat(), 100);
  try {
    await Context.current().cancelled;
  } finally {
    clearInterval(beating);
  }
}

async function untilMet(met: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const limit = Date.now() + 20_000;
  while (!(await met())) {
    if (Date.now() > limit) throw new Error(`waited 20 s in vain until ${what}`);
    await delay(20);
  }
}
