/**
 * A host for tests: real activities, a real disk, a simulated Mac, and a hub that grants everything and writes down what it is told.
 *
 * The one idea: all state lies in one folder, so a second host on the same folder is the first one after a restart.
 */
import { mkdir, mkdtemp, readdir, rename } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MockActivityEnvironment } from "@temporalio/testing";
import { DefaultLogger } from "@temporalio/worker";
import { actionActivities } from "../../activities/host/actions.ts";
import { openAttempts } from "../../activities/host/attempt.ts";
import { bootLimits } from "../../activities/host/boot.ts";
import type { HostContext } from "../../activities/host/context.ts";
import { openGuard } from "../../activities/host/guard.ts";
import type { HubLink } from "../../activities/host/hub-link.ts";
import { openLedger } from "../../activities/host/ledger.ts";
import { letGoActivities } from "../../activities/host/let-go.ts";
import { machineActivities } from "../../activities/host/machines.ts";
import { hostBatchActivities } from "../../activities/host/many.ts";
import { openPins } from "../../activities/host/pins.ts";
import { openStoreGates } from "../../activities/host/store-gates.ts";
import { openKeyedSlots, openSlots } from "../../activities/host/slots.ts";
import type { ReportLine } from "../../domain/hosts/schema.ts";
import { openCache, type Cache } from "../../images/cache.ts";
import type { CacheUses } from "../../images/cache-uses.ts";
import { defaultLevel } from "../../images/level.ts";
import { freeLine } from "../../images/line.ts";
import { sealFolder } from "../../images/seal.ts";
import { makeBundle } from "../../parallels/bundle/make.ts";
import { patternCluster } from "../../parallels/sample/pattern.ts";
import { clusterBytes, rewriteClusters } from "../../parallels/hds.ts";
import { controlSimulator, usualControl } from "../../parallels/simulator/control.ts";
import { installSimulator } from "../../parallels/simulator/install.ts";
import { openPrlctl } from "../../parallels/prlctl.ts";
import type { HostActionActivities } from "../../workflows/machines/operate.ts";
import type { HostLetGoActivities } from "../../workflows/machines/let-go.ts";
import type { HostBatchActivities } from "../../workflows/machines/provision-many.ts";
import type { MachineActivities, Placement } from "../../workflows/machines/provision.ts";

export const hubId = "0a1b2c3d-0000-4000-8000-000000000001";
/** The images that are cached here: one for machines that are made in a moment, one whose copy takes long enough to be interrupted. */
export const images = { small: "a".repeat(64), large: "b".repeat(64) } as const;
const sizes = { small: 4 * 1024 ** 2, large: 96 * 1024 ** 2 } as const;
export type ImageSize = keyof typeof images;
const mebibyte = 1024 ** 2;
/** Faults are what these tests are about: only what nobody foresaw is worth a line. */
const logger = new DefaultLogger("ERROR");

export interface TestHost {
  readonly context: HostContext;
  /** Each call is an attempt of its own, as Temporal would make it; `cancel` asks it to end. */
  run<T>(
    act: (activities: HostActionActivities & MachineActivities & HostLetGoActivities & HostBatchActivities) => Promise<T>,
  ): Promise<T> & { cancel(): void };
  /** Report lines in their order. */
  readonly lines: readonly ReportLine[];
}

/** A folder with a simulator of eight processors and these images in its cache. */
export async function openHome(...sizes: ImageSize[]): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), "drover-machines-"));
  await installSimulator(simulatorIn(home), { hostName: "mac-1", cpus: 8, memoryBytes: 16 * 1024 ** 3 });
  for (const size of sizes) await cacheImage(home, size);
  return home;
}
export const simulatorIn = (home: string): string => join(home, "simulator");
export const machineFolderIn = (home: string): string => join(simulatorIn(home), "Parallels");

/** No hub says here that an operation ended. */
function usesInMemory(): CacheUses {
  const kept = new Map<string, Set<string>>();
  return {
    isUsed: (digest) => [...kept.values()].some((digests) => digests.has(digest)),
    operations: () => [...kept.keys()],
    begin: async (operationId, digest) => void kept.set(operationId, (kept.get(operationId) ?? new Set()).add(digest)),
    end: async (operationId) => void kept.delete(operationId),
  };
}

/** The host as each test begins with it: nothing wrong with its simulator. */
export function freshHost(home: string): TestHost {
  controlSimulator(simulatorIn(home), { ...usualControl });
  return openTestHost(home);
}

/** Opens the host of that folder, whose simulator is installed. `sealed` is what the hub hands out for `execute`. */
export function openTestHost(home: string, sealed: Record<string, unknown> = {}, onLine?: (line: ReportLine) => void): TestHost {
  const commands = join(simulatorIn(home), "bin");
  const prlctl = openPrlctl({ prlctlPath: join(commands, "prlctl"), prlsrvctlPath: join(commands, "prlsrvctl") });
  const lines: ReportLine[] = [];
  const link = testLink(sealed, (line) => {
    lines.push(line);
    onLine?.(line);
  });
  const guard = openGuard(link, () => {});
  const context: HostContext = {
    hubId,
    guard: { by: (_right, work) => work(), begun: () => {}, mayChange: () => Promise.resolve() },
    link,
    prlctl,
    cache: sealedCache(home),
    machineFolder: machineFolderIn(home),
    roots: [],
    attempts: openAttempts(guard),
    transfers: openSlots(2),
    sessions: openSlots(2),
    machines: openKeyedSlots(),
    images: openKeyedSlots(),
    sources: openKeyedSlots(),
    pins: openPins(usesInMemory()),
    peers: null,
    ledger: openLedger(join(home, "ledger")),
    journalFolder: join(home, "journals"),
    recordFolder: join(home, "pushed"),
    moving: { line: freeLine, level: defaultLevel },
    keepBytes: 0,
    cacheBytes: null,
    limits: bootLimits(10_000),
    changed: () => {},
  };
  // What a test does by its own hand is free; what activities do is guarded, as in a host's process.
  const acting = { ...context, guard, link: guard.link(link), prlctl: guard.prlctl(prlctl), cache: guard.cache(context.cache) };
  const activities = {
    ...actionActivities(acting),
    ...machineActivities(acting),
    ...letGoActivities(acting),
    ...hostBatchActivities(acting, 1_000),
  };
  return {
    context,
    lines,
    run: (act) => {
      const environment = new MockActivityEnvironment({}, { logger });
      const running = runIn(environment, () => act(activities));
      return Object.assign(running, { cancel: () => environment.cancel("CANCELLED") });
    },
  };
}

const runIn = <T>(environment: MockActivityEnvironment, act: () => Promise<T>): Promise<T> => environment.run<[], T, () => Promise<T>>(act);

function testLink(sealed: Record<string, unknown>, onLine: (line: ReportLine) => void): HubLink {
  let fence = 0;
  const absent = () => Promise.reject(new Error("a host's machines need nothing else of the hub"));
  return {
    namespace: "test",
    session: "test",
    report: (lines) => {
      lines.forEach(onLine);
      return Promise.resolve({ accepted: lines.length, removeMachines: [] });
    },
    grants: ({ begin, sealed: wanted }) =>
      Promise.resolve({ fence: begin === true ? ++fence : fence, objects: [], ca: null, share: null, sealed: wanted ? sealed : null }),
    begin: ({ operationIds }) => Promise.resolve({ fences: Object.fromEntries(operationIds.map((id) => [id, ++fence])) }),
    send: absent,
    stores: { send: absent },
    gates: openStoreGates(),
    now: Date.now,
    clockOffsetMs: () => null,
    connection: absent,
    token: absent,
    close: () => Promise.resolve(),
  };
}

/** What lies in it was never pushed, so it has no tree; its seal is always that of what lies there. */
function sealedCache(home: string): Cache {
  const cache = openCache(join(home, "cache"));
  const open: Cache["open"] = async (digest) =>
    (await cache.has(digest)) ? { tree: { entries: [] }, seal: await sealFolder(cache.paths(digest).bundle) } : null;
  return { ...cache, open };
}

/** Puts an image into the cache. */
export async function cacheImage(home: string, size: ImageSize): Promise<void> {
  const bytes = sizes[size];
  const { folder, bundle } = openCache(join(home, "cache")).paths(images[size]);
  await mkdir(folder, { recursive: true });
  const facts = { kind: "pvm", osType: 9, osNumber: 2314, cpus: 2, memoryMegabytes: 1024, diskBytes: 2 * bytes } as const;
  const made = await makeBundle({ folder: home, name: "Golden", ...facts });
  const clusters = Array.from(
    { length: Math.floor(bytes / clusterBytes) },
    (_, cluster) => [cluster, patternCluster("golden", cluster)] as const,
  );
  if (made.imagePath !== null) await rewriteClusters(made.imagePath, clusters);
  await rename(made.bundlePath, bundle);
}

export const placementOf = (machineId: string, name: string, size: ImageSize, epoch: number): Placement => ({
  hostId: "host",
  machineId,
  epoch,
  hubId,
  name,
  description: "made by a test",
  vcpus: 1,
  memoryBytes: 512 * mebibyte,
  start: false,
  probe: { kind: "none" },
  wanted: {
    image: "golden/1/arm64",
    digest: images[size],
    generation: 1,
    kind: "pvm",
    logicalBytes: 0,
    allocatedBytes: 0,
  } as Placement["wanted"],
});

/** What lies in the folder of machines: bundles, also half made ones. */
export const bundlesIn = async (home: string): Promise<string[]> => (await readdir(machineFolderIn(home))).toSorted();
