/**
 * The hub worker: runs workflows, the activities beside the database, and the loops that keep the hub's promises.
 *
 * The one idea: it holds no state. Everything that it knows is in PostgreSQL and Temporal, so any number of them run, and one leads the loops.
 */
import "../deploy/lifeline.ts";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PayloadCodec } from "@temporalio/common";
import { Worker, type NativeConnection } from "@temporalio/worker";
import type { Logger } from "pino";
import { Gauge, Registry } from "prom-client";
import { pullActivities, pushActivities } from "../activities/hub/catalog.ts";
import { bringActivities } from "../activities/hub/bring.ts";
import { sendActivities } from "../activities/hub/send.ts";
import { exportActivities } from "../activities/hub/export.ts";
import { gatedStores } from "../activities/hub/gated-stores.ts";
import { drainActivities } from "../activities/hub/hosts.ts";
import { importActivities } from "../activities/hub/import.ts";
import { actionActivities, adoptActivities, placementActivities, retireActivities } from "../activities/hub/machines.ts";
import { batchActivities } from "../activities/hub/many.ts";
import { prefetchActivities } from "../activities/hub/prefetch.ts";
import { recordActivities } from "../activities/hub/operations.ts";
import { deliverActivities } from "../activities/hub/webhooks.ts";
import { webhookSenders, type SenderSettings } from "../activities/hub/webhook-senders.ts";
import { requestPush } from "../control/catalog.ts";
import { handOver } from "../control/batches.ts";
import { cancelOperation } from "../control/cancel.ts";
import { hubLoops } from "../control/loops.ts";
import { lead, type Leader } from "../control/leader.ts";
import { requestAction, requestMachine } from "../control/machines.ts";
import { requestRetire } from "../control/retire.ts";
import { keepSchedules } from "../control/schedules.ts";
import type { Control } from "../control/start.ts";
import { openDatabase, type OpenDatabase } from "../db/connect.ts";
import { keyRows } from "../db/keys.ts";
import { someoneListens } from "../db/listening.ts";
import { migrate } from "../db/migrate.ts";
import { countUnsettled } from "../db/operations.ts";
import type { Config } from "../domain/config/schema.ts";
import { FaultError } from "../domain/errors.ts";
import { hubQueue } from "../domain/operations/rules.ts";
import { openStores, type OpenStores } from "../gateway/stores.ts";
import { masterKeySource } from "../security/master-key.ts";
import { openSecurity, type Security } from "../security/open.ts";
import { beatInterceptor } from "./beats.ts";
import { workflowBundle } from "./bundle.ts";
import { careActivities, type CareSettings } from "./care.ts";
import { poolActivities } from "./pools.ts";
import { databaseInterceptor, faultInterceptor, tries } from "./faults.ts";
import { serveHealth } from "./health.ts";
import { runProcess, type Running } from "./process.ts";
import { installRuntime, temporalLogger } from "./runtime.ts";
import { openLarge } from "./archives.ts";
import { remoteCatalogs, type Reaching } from "./remote-catalogs.ts";
import { checkStores, keepDefaultStore, storePorts } from "./stores.ts";
import { connectTemporal, connectWorker, hubConverter, type TemporalClient } from "./temporal.ts";

export async function runHub({ config, log, signal }: Running): Promise<void> {
  const url = databaseUrl(config);
  await migrate(url);
  const metricsPort = await installRuntime(config.health.hubPort, log);
  const open = openDatabase(url);
  const security = await openSecurity({
    masterKey: masterKeySource({ given: config.security.masterKey, next: config.security.masterKeyNext, home: config.home }),
    keys: keyRows(open.db),
  });
  const temporal = await connectTemporal(security.codec);
  const connection = await connectWorker();
  const control = controlOf({ config, db: open.db, security, temporal, log });
  const { graceMs, scrubShare, collectEveryMs, scrubEveryMs, retainEveryMs } = config.care;
  const care = { workFolder: join(config.home, "hub", "care"), graceMs, scrubShare };
  const told = { reaching: config.security.remotes, webhooks: config.webhooks };
  const worker = await hubWorker({ control, codec: security.codec, connection, care, ...told });
  await keepSchedules(control, { collect: collectEveryMs, scrub: scrubEveryMs, retain: retainEveryMs }).catch((err: unknown) =>
    log.error({ event: "schedules.unkept", err }, "The schedules could not be kept; the next start of a hub worker tries again."),
  );
  const stores = openStores({ db: open.db, sealer: security.sealer, ports: storePorts });
  // One small question over the network: soon enough for the person who looks why transfers park.
  const storeLoop = { name: "stores", everyMs: 15_000, pass: () => checkStores(open.db, stores) };
  const leader = lead({
    url,
    loops: [...hubLoops(control, { hasEars: () => someoneListens(open.db), retention: config.retention }), storeLoop],
    log,
  });
  const health = await serveHubHealth({ config, open, temporal, worker, leader, metricsPort });
  const store = await keepDefaultStore(control, config, signal);
  if (store.problem)
    log.error(
      { event: "store.unreachable", store: store.location, fault: store.problem },
      "The default store does not answer; transfers will park.",
    );
  log.info({ event: "hub.started", hubId: security.hubId, store: store.location }, "The hub takes work.");
  try {
    signal.addEventListener("abort", () => worker.shutdown(), { once: true });
    if (signal.aborted) worker.shutdown();
    await worker.run();
  } finally {
    await leader.close();
    await health?.close();
    await connection.close();
    await temporal.connection.close();
    await open.close();
  }
}

/** What the API and the hub worker alike need to start operations. */
function controlOf({
  config,
  db,
  security,
  temporal,
  log,
}: {
  config: Config;
  db: OpenDatabase["db"];
  security: Security;
  temporal: TemporalClient;
  log: Logger;
}): Control {
  const { hubId, sealer } = security;
  const { parkLimitMs, orphanLimitMs } = config;
  return { db, temporal: temporal.client, sealer, hubId, parkLimitMs, orphanLimitMs, reserve: config.hosts.reserved, log };
}

export interface HubWorkerParts {
  readonly control: Control;
  readonly codec: PayloadCodec;
  readonly connection: NativeConnection;
  readonly care?: CareSettings;
  /** Which addresses catalog managers may name. */
  readonly reaching?: Reaching;
  /** Where webhooks may lead, and by what e-mail is sent. */
  readonly webhooks?: SenderSettings;
}

/** As the configuration has it where nobody says otherwise. */
const usualCare: CareSettings = { workFolder: join(tmpdir(), "drover-care"), graceMs: 86_400_000, scrubShare: 0.04 };

const usualWebhooks: SenderSettings = { allow: [], smtp: null };
const usualReach: Reaching = { allowed: [], unchecked: false };

export async function hubWorker({
  control,
  codec,
  connection,
  care = usualCare,
  reaching = usualReach,
  webhooks = usualWebhooks,
}: HubWorkerParts): Promise<Worker> {
  const { db, temporal, sealer, hubId, reserve, log } = control;
  const stores = gatedStores(db, openStores({ db, sealer, ports: storePorts }).open);
  const unforeseen = (err: unknown) => log.error({ event: "activity.unforeseen", err }, "An activity failed in an unforeseen way.");
  return Worker.create({
    connection,
    namespace: temporal.options.namespace,
    taskQueue: hubQueue,
    workflowBundle: await workflowBundle(temporalLogger(log)),
    dataConverter: hubConverter(codec),
    activities: {
      ...recordActivities({ db }),
      ...pushActivities({ db, openStore: stores.open }),
      ...pullActivities({ db }),
      ...prefetchActivities({ db }),
      ...importActivities({ db, openStore: stores.open }),
      ...throughManagers(control, stores, reaching),
      ...exportActivities({ db, openStore: stores.open, openLarge: (storeId) => openLarge({ db, sealer }, storeId), gate: stores.gate }),
      ...careActivities(control, stores.open, care),
      ...placementActivities({ db, hubId, reserve }),
      ...batchActivities({ db, hubId, reserve, handOver: (leaving) => handOver(control, leaving) }),
      ...actionActivities({ db, temporal }),
      ...retireActivities({ db }),
      ...adoptActivities({ db }),
      ...drains(control),
      ...poolActivities(control),
      ...deliverActivities({ db, sealer, send: webhookSenders(webhooks) }),
    },
    interceptors: { activity: [faultInterceptor(unforeseen, tries.hub), databaseInterceptor, beatInterceptor] },
    // Database writes end in milliseconds and waits heartbeat; what does not end in ten seconds runs again elsewhere.
    shutdownGraceTime: "10 seconds",
  });
}

/** A drain asks like anybody else, and waits for what it asked for; what a person could mend parks there and not with each machine. */
const drains = (control: Control) =>
  drainActivities({
    db: control.db,
    records: recordActivities({ db: control.db }),
    stop: (machineId, asked) =>
      requestAction(control, machineId, { verb: "stop", mode: "graceful", graceSeconds: 120 }, { ...asked, onFault: "fail" }),
    retire: (machineId, asked) => requestRetire(control, machineId, { force: false }, { ...asked, onFault: "fail" }),
    cancel: (operationId, asked) => cancelOperation(control, operationId, asked),
  });

/** Images behind catalog managers, fetched and sent. */
function throughManagers(control: Control, stores: Pick<OpenStores, "open">, reaching: Reaching) {
  const { db, sealer } = control;
  const openRemote = remoteCatalogs({ db, sealer, reaching }).open;
  return {
    ...bringActivities({
      db,
      openStore: stores.open,
      openLarge: (storeId) => openLarge({ db, sealer }, storeId),
      openRemote,
      provision: (wanted, asked) => requestMachine(control, wanted, asked),
      cancel: (operationId, asked) => cancelOperation(control, operationId, asked),
    }),
    ...sendActivities({
      db,
      openStore: stores.open,
      openRemote,
      openSealed: (sealed, operationId) => sealer.open(sealed, `operation:${operationId}`),
      push: (wanted, asked) => requestPush(control, wanted, asked),
      cancel: (operationId, asked) => cancelOperation(control, operationId, asked),
    }),
  };
}

interface HealthParts {
  readonly config: Config;
  readonly open: OpenDatabase;
  readonly temporal: TemporalClient;
  readonly worker: Worker;
  readonly leader: Leader;
  readonly metricsPort: number | null;
}

async function serveHubHealth({ config, open, temporal, worker, leader, metricsPort }: HealthParts) {
  const { host, hubPort } = config.health;
  if (hubPort === 0) return null;
  const registry = new Registry();
  new Gauge({
    name: "drover_hub_leads",
    help: "1 where this process leads the hub's loops.",
    registers: [registry],
    collect() {
      this.set(leader.leading() ? 1 : 0);
    },
  });
  new Gauge({
    name: "drover_operations",
    help: "Operations that have not ended, by state.",
    labelNames: ["state"],
    registers: [registry],
    async collect() {
      this.reset();
      for (const [state, count] of await countUnsettled(open.db)) this.set({ state }, count);
    },
  });
  return serveHealth({
    host,
    port: hubPort,
    registry,
    ...(metricsPort === null ? {} : { coreMetricsUrl: `http://127.0.0.1:${metricsPort}/metrics` }),
    checks: {
      database: async () => ((await open.sql`select 1`).length === 1 ? null : "does not answer"),
      temporal: async () => {
        await temporal.connection.workflowService.getSystemInfo({});
        return null;
      },
      worker: async () => (worker.getState() === "RUNNING" ? null : `is ${worker.getState().toLowerCase()}`),
    },
  });
}

function databaseUrl({ database }: Config): string {
  if (database.url !== undefined) return database.url;
  throw new FaultError({
    code: "configuration_invalid",
    message: "DATABASE_URL is not set: the hub needs a PostgreSQL. The embedded stack sets it by itself.",
  });
}

if (import.meta.main) await runProcess("hub", runHub);
