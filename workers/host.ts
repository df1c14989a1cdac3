/**
 * The host worker: the one process of a host. It polls this host's queue through the gateway, acts through Parallels Desktop, and reports what it sees.
 *
 * The one idea: a host knows the hub's address, its id and its key. Everything else it needs is granted for the operation at hand.
 */
import "../deploy/lifeline.ts";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Worker } from "@temporalio/worker";
import type { Logger } from "pino";
import { collectDefaultMetrics, Registry } from "prom-client";
import { adoptActivities } from "../activities/host/adopt.ts";
import { actionActivities } from "../activities/host/actions.ts";
import { openAttempts } from "../activities/host/attempt.ts";
import { bootLimits } from "../activities/host/boot.ts";
import { bundleActivities } from "../activities/host/bundles.ts";
import type { HostContext, Moving } from "../activities/host/context.ts";
import { hostFacts } from "../activities/host/facts.ts";
import { healActivities } from "../activities/host/heal.ts";
import { convertActivities } from "../activities/host/convert.ts";
import { openGuard } from "../activities/host/guard.ts";
import { cacheKeepingActivities } from "../activities/host/cache.ts";
import { cacheActivities, openFetching, type Fetching } from "../activities/host/fetch.ts";
import { openHubLink, readIdentity, type HostIdentity, type HubLink } from "../activities/host/hub-link.ts";
import { inventoryLoop, type InventoryLoop } from "../activities/host/inventory.ts";
import { openLedger, removeOlder } from "../activities/host/ledger.ts";
import { leftoverLoop } from "../activities/host/leftovers.ts";
import { letGoActivities } from "../activities/host/let-go.ts";
import { hostBatchActivities } from "../activities/host/many.ts";
import { machineActivities } from "../activities/host/machines.ts";
import { removeUnfinished } from "../activities/host/mark.ts";
import { openPins } from "../activities/host/pins.ts";
import { openKeyedSlots, openSlots } from "../activities/host/slots.ts";
import { twinRemoval } from "../activities/host/twins.ts";
import { commandNotes, endNotedCommands } from "../deploy/command-notes.ts";
import { lockFolder } from "../deploy/home.ts";
import type { Config } from "../domain/config/schema.ts";
import { hostQueue } from "../domain/operations/rules.ts";
import { openCache, type Cache } from "../images/cache.ts";
import { openUses } from "../images/cache-uses.ts";
import { freeLine, openLine } from "../images/line.ts";
import { faultInterceptor } from "./faults.ts";
import { serveHealth } from "./health.ts";
import { openParallels } from "./parallels.ts";
import { openPeerPort, peerAddress } from "./peers.ts";
import { runProcess, type Running } from "./process.ts";
import { installRuntime } from "./runtime.ts";

/** macOS guests accept two sessions, then refuse logons. */
const sessionsAtOnce = 2;
/** The hub's clock and this host's may differ: a day more is kept. */
const parkMarginMs = 86_400_000;
/** Many operations wait on this host for slots and boots; waiting costs nothing. */
const activitiesAtOnce = 200;

export async function runHost(running: Running): Promise<void> {
  const identity = await readIdentity(join(running.config.home, "identity.json"));
  // Slots and locks of machines live in this process, so there is one of it.
  const own = join(running.config.home, "host");
  await mkdir(own, { recursive: true });
  const lock = await lockFolder(own);
  const metricsPort = await installRuntime(running.config.health.hostPort, running.log);
  await serveHub(running, identity, { metricsPort }).finally(() => lock.release());
}

export interface HostParts {
  readonly metricsPort: number | null;
  /** Where this host's machines are; the configuration's Parallels Desktop unless another is given. */
  readonly open?: typeof openParallels;
}

/** Works for the hub until the signal is aborted. */
export async function serveHub(
  { config, log, signal }: Pick<Running, "config" | "log" | "signal">,
  identity: HostIdentity,
  { metricsPort, open = openParallels }: HostParts,
): Promise<void> {
  const link = await openHubLink(identity, { log, storeSilentMs: config.hosts.storeSilentMs });
  try {
    const { context, loop, peers } = await openHost({ config, log }, { link, identity, open });
    const fetching = openFetching(context);
    const worker = await hostWorker(fetching, identity.hostId, log);
    const health = await serveHostHealth({ host: config.health.host, port: config.health.hostPort, metricsPort, worker, loop });
    log.info({ event: "host.started", hostId: identity.hostId, hub: identity.hubUrl }, `The host ${identity.name} takes work.`);
    signal.addEventListener("abort", () => worker.shutdown(), { once: true });
    if (signal.aborted) worker.shutdown();
    const ended = new AbortController();
    const onError = (err: unknown) =>
      log.warn({ event: "host.leftovers_failed", err }, "What lies half done here was not told or not removed; it is tried again.");
    const reporting = Promise.all([loop.run(ended.signal), leftoverLoop({ fetching, onError }, ended.signal)]);
    await worker.run().finally(() => ended.abort());
    await reporting;
    await peers?.close();
    await health?.close();
  } finally {
    await link.close();
  }
}

interface Opening {
  readonly link: HubLink;
  readonly identity: HostIdentity;
  readonly open: typeof openParallels;
}

async function openHost({ config, log }: Pick<Running, "config" | "log">, { link, identity, open }: Opening) {
  const { home } = config;
  const commands = join(home, "host", "commands");
  const left = await endNotedCommands(commands);
  if (left.length > 0) log.warn({ event: "host.commands_ended", commands: left }, "Commands of an earlier process of this host still ran.");
  const parallels = await open(config, log, commandNotes(commands));
  const { prlctl, machineFolder, roots } = parallels;
  const cache = openCache(config.hosts.cache.folder ?? join(home, "cache"));
  await mkdir(cache.root, { recursive: true });
  await clearAway(config, cache, machineFolder);
  const ledger = openLedger(join(home, "ledger"));
  await ledger.sweep();
  const pins = openPins(await openUses(cache.root));
  const address = peerAddress(config);
  const peers = await openPeerPort({ address, identity, link, shared: { cache, pins }, log });
  const loop = inventoryLoop({
    context: () => context,
    facts: async () => ({ ...(await hostFacts(parallels)), ...(address ? { peer: address } : {}) }),
    bootId: parallels.bootId,
    onError: (error) => log.warn({ event: "host.report_failed", err: error }, "The hub did not take this host's report."),
    onRemove: (machines, asked) => removeTwins(machines, asked),
  });
  const guard = openGuard(link, (operationId, reason) =>
    log.warn({ event: "host.fenced", operationId, reason }, "A change of this host was refused."),
  );
  const context: HostContext = {
    hubId: identity.hubId,
    guard,
    link: guard.link(link),
    prlctl: guard.prlctl(prlctl),
    cache: guard.cache(cache),
    machineFolder,
    roots,
    attempts: openAttempts(guard),
    ...transferring(config.hosts.transfers, home),
    sessions: openSlots(sessionsAtOnce),
    machines: openKeyedSlots(),
    images: openKeyedSlots(),
    sources: openKeyedSlots(),
    pins,
    peers,
    ledger,
    keepBytes: config.hosts.cache.keepFreeBytes,
    cacheBytes: config.hosts.cache.maximumBytes ?? null,
    limits: bootLimits(config.hosts.bootLimitMs),
    changed: loop.changed,
  };
  const removeTwins = twinRemoval(context, log);
  return { context, loop, peers };
}

/** What operations left here that ended while this host was lost. A parked one comes back for its own until the park limit. */
async function clearAway({ home, parkLimitMs }: Config, cache: Cache, machineFolder: string): Promise<void> {
  const forgotten = Date.now() - parkLimitMs - parkMarginMs;
  await cache.sweep(forgotten);
  await removeOlder(join(home, "journals"), forgotten);
  await removeUnfinished(machineFolder);
}

/** How transfers of this host move their bytes, which share one line, and where they keep what the next attempt or push needs. */
function transferring({ atOnce, requests, bytesPerSecond, compression }: Config["hosts"]["transfers"], home: string) {
  const line = bytesPerSecond === null ? freeLine : openLine(bytesPerSecond);
  const moving: Moving = { line, level: compression, ...(requests === null ? {} : { parallel: requests }) };
  return { transfers: openSlots(atOnce), moving, journalFolder: join(home, "journals"), recordFolder: join(home, "pushed") };
}

interface HealthParts {
  readonly host: string;
  readonly port: number;
  readonly metricsPort: number | null;
  readonly worker: Worker;
  readonly loop: InventoryLoop;
}

async function serveHostHealth({ host, port, metricsPort, worker, loop }: HealthParts) {
  if (port === 0) return null;
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const checks = {
    worker: async () => (worker.getState() === "RUNNING" ? null : `is ${worker.getState().toLowerCase()}`),
    hub: async () => (loop.heard() ? null : "took no report of this host yet"),
  };
  return serveHealth({
    host,
    port,
    checks,
    registry,
    ...(metricsPort === null ? {} : { coreMetricsUrl: `http://127.0.0.1:${metricsPort}/metrics` }),
  });
}

async function hostWorker(fetching: Fetching, hostId: string, log: Logger): Promise<Worker> {
  const { context } = fetching;
  const { link } = context;
  return Worker.create({
    connection: await link.connection(),
    namespace: link.namespace,
    taskQueue: hostQueue(hostId),
    activities: {
      ...bundleActivities(context),
      ...convertActivities(context),
      ...cacheActivities(fetching),
      ...cacheKeepingActivities(context),
      ...machineActivities(context),
      ...hostBatchActivities(context),
      ...actionActivities(context),
      ...adoptActivities(context),
      ...healActivities(context),
      ...letGoActivities(context),
    },
    interceptors: {
      activity: [faultInterceptor((err) => log.error({ event: "activity.unforeseen", err }, "An activity failed in an unforeseen way."))],
    },
    maxConcurrentActivityTaskExecutions: activitiesAtOnce,
    // A host has work now and then: two long polls find it at once, and a thousand hosts do not hold ten thousand.
    maxConcurrentActivityTaskPolls: 2,
    // Cancellation comes back with a heartbeat, and is promised within 5 s.
    maxHeartbeatThrottleInterval: "500 milliseconds",
    // Transfers save their place in the journal, so they need no long goodbye.
    shutdownGraceTime: "10 seconds",
  });
}

if (import.meta.main) await runProcess("host", runHost);
