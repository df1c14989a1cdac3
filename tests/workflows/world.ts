/**
 * One hub and its hosts, reduced to the facts that operations can change: what stands behind the activity interfaces in workflow tests.
 *
 * The one idea: effects are a small world that can be looked at, so a test asserts what is left of an operation and not which calls it made.
 */
import type { Placement, MachineActivities, PlacementActivities } from "../../workflows/machines/provision.ts";
import type { ActionActivities, HostActionActivities } from "../../workflows/machines/operate.ts";
import type { BundleActivities, PushActivities, Upload } from "../../workflows/catalog/push.ts";
import type { CacheActivities, Wanted } from "../../workflows/catalog/fetch.ts";
import type { FaultRecord } from "../../domain/operations/schema.ts";
import type { Outcome } from "../../domain/operations/rules.ts";
import type { CacheKeepingActivities } from "../../workflows/catalog/cache.ts";
import type { PrefetchActivities } from "../../workflows/catalog/prefetch.ts";
import type { BeginActivities, PullActivities } from "../../workflows/catalog/pull.ts";
import type { RecordActivities } from "../../workflows/records.ts";
import type { AdoptActivities, AdoptedEffect, HostAdoptActivities } from "../../workflows/machines/adopt.ts";
import type { HostLetGoActivities } from "../../workflows/machines/let-go.ts";
import type { RetireActivities } from "../../workflows/machines/retire.ts";
import { FaultError, type Code, type Fault } from "../../domain/errors.ts";
import { seenMachine } from "../seen.ts";

export const digest = "a".repeat(64);
export const wanted: Wanted = { digest, generation: 1, kind: "pvm", logicalBytes: 1000, allocatedBytes: 600, image: "sonoma/1.0/arm64" };
export const upload: Upload = {
  digest,
  generation: 1,
  fence: 7,
  files: 3,
  logicalBytes: 1000,
  allocatedBytes: 600,
  storedBytes: 500,
  newBytes: 500,
  packs: 1,
};

/** A fault to meet at a step: how often, or for ever. */
export interface Trouble {
  readonly code: Code;
  readonly times: number;
  readonly details?: Record<string, unknown>;
  readonly message?: string;
}

export interface World {
  /** Step names with the state last told, in the order in which they were first told. */
  readonly steps: Map<string, string>;
  settled: { outcome: Outcome; fault?: FaultRecord; result?: Record<string, unknown> } | null;
  readonly published: string[];
  readonly cached: Set<string>;
  readonly incoming: Set<string>;
  /** What uploads that have not ended remember on their host. */
  readonly journals: Set<string>;
  readonly machines: Map<string, { host: string; state: string; epoch: number }>;
  readonly placed: Map<string, string>;
  readonly forgotten: Set<string>;
  readonly retired: Set<string>;
  readonly troubles: Map<string, Trouble>;
  /** What operations that another one asked for come to, by the step that waits for them; done where it says nothing. */
  readonly refusals: Map<string, Fault>;
  readonly acted: string[];
  /** Steps that go on until they are cancelled. */
  readonly endless: Set<string>;
  /** Whether the request for a machine names its host. */
  namesHost: boolean;
  /** Whether the hub believes that the host has the image. */
  believesCached: boolean;
  /** What each step of a host waits for before it acts. */
  readonly pace: () => Promise<void>;
}

export function newWorld(pace: World["pace"] = async () => {}): World {
  return {
    steps: new Map(),
    settled: null,
    published: [],
    cached: new Set(),
    incoming: new Set(),
    journals: new Set(),
    machines: new Map(),
    placed: new Map(),
    forgotten: new Set(),
    retired: new Set(),
    troubles: new Map(),
    refusals: new Map(),
    acted: [],
    endless: new Set(),
    namesHost: false,
    believesCached: false,
    pace,
  };
}

/** Meets the trouble planned for a step, if any is left. */
export function meet(world: World, step: string): void {
  const trouble = world.troubles.get(step);
  if (!trouble || trouble.times === 0) return;
  world.troubles.set(step, { ...trouble, times: trouble.times - 1 });
  throw new FaultError({
    code: trouble.code,
    message: trouble.message ?? `${step} met ${trouble.code}.`,
    details: { step, ...trouble.details },
  });
}

export type Endless = (step: string) => Promise<void>;

export function hubOf(world: World, hosts: readonly string[], endless: Endless) {
  const records: RecordActivities = {
    recordSteps: async ({ steps }) => {
      for (const { name, state } of steps) world.steps.set(name, state);
    },
    firstUnfinished: async ({ steps }) => steps.find((step) => world.steps.get(step) !== "done") ?? "",
    settle: async ({ steps, outcome, fault, result }) => {
      for (const { name, state } of steps) world.steps.set(name, state);
      world.settled = { outcome, ...(fault ? { fault } : {}), ...(result ? { result } : {}) };
    },
  };
  const push: PushActivities = {
    planPush: async () => {
      meet(world, "check request");
      return { storeId: "s", bases: [] };
    },
    checkUpload: async () => meet(world, "check store"),
    publishVersion: async () => {
      meet(world, "publish");
      // Once, however often it is asked: a task of the workflow that a cancellation overtook runs its local activities again.
      if (!world.published.includes("1.0")) world.published.push("1.0");
      return { imageVersionId: "v", image: wanted.image, replaced: false };
    },
  };
  const pull: PullActivities = {
    authorisePull: async () => {
      meet(world, "authorise");
      return wanted;
    },
    recordCached: async () => {},
  };
  return {
    ...records,
    ...push,
    ...pull,

    ...prefetching(world, hosts, endless),
    ...placing(world, hosts),
    ...acting(world),
  };
}

function prefetching(world: World, hosts: readonly string[], endless: Endless): PrefetchActivities & BeginActivities {
  return {
    planPrefetch: async () => {
      meet(world, "plan");
      if (world.endless.has("mac-1:plan")) await endless("plan");
      const targets = hosts.map((hostId, n) => ({ hostId, host: `mac-${n + 1}`, cached: false }));
      return { image: wanted.image, targets };
    },
    beginPull: async ({ hostId }) => void world.acted.push(`begin pull on mac-${hosts.indexOf(hostId) + 1}`),
  };
}

function placing(world: World, hosts: readonly string[]): PlacementActivities & RetireActivities {
  let epoch = 0;
  return {
    placeMachine: async ({ excluded }): Promise<Placement> => {
      meet(world, "place");
      const hostId = hosts.find((host) => !excluded.includes(host));
      if (!hostId) throw new FaultError({ code: "no_capacity", message: "No host can take the machine." });
      world.placed.set("m", hostId);
      const size = { vcpus: 2, memoryBytes: 2 ** 30 };
      return {
        hostId,
        machineId: "m",
        epoch: ++epoch,
        hubId: "h",
        name: "ci-1",
        description: "",
        ...size,
        start: true,
        probe: { kind: "tools" },
        wanted,
        cached: world.believesCached,
        ...(world.namesHost ? { only: true } : {}),
      };
    },
    awaitRoom: async () => void world.acted.push("await room"),
    releasePlacement: async () => void world.placed.delete("m"),
    forgetMachine: async () => void world.forgotten.add("m"),
    recordMachine: async () => meet(world, "record"),
    recordRetired: async ({ machineId }) => {
      world.placed.delete(machineId);
      world.retired.add(machineId);
    },
  };
}

function acting(world: World): ActionActivities & AdoptActivities {
  return {
    recordAdopted: async () => meet(world, "record adopted"),
    takeOver: async () => void world.acted.push("take over"),
    recordAction: async ({ effect }) => void world.acted.push(`record ${effect.observed}`),
    releaseAction: async () => void world.acted.push("release"),
  };
}

/** What each step of a host does first: waits for its turn, meets its trouble, goes on for ever where it is to. */
export const stepsOn = (world: World, host: string, endless: Endless) => async (step: string) => {
  await world.pace();
  meet(world, step);
  if (world.endless.has(`${host}:${step}`)) await endless(step);
};

export function hostOf(
  world: World,
  name: string,
  endless: Endless,
): BundleActivities &
  CacheActivities &
  CacheKeepingActivities &
  MachineActivities &
  HostActionActivities &
  HostAdoptActivities &
  HostLetGoActivities {
  const at = stepsOn(world, name, endless);
  const bundles: BundleActivities = {
    inspectBundle: async ({ path }) => {
      await at("inspect bundle");
      return {
        path,
        kind: "pvm",
        name: "base",
        guestOs: null,
        architecture: "arm64",
        vcpus: 2,
        memoryBytes: 1,
        logicalBytes: 1,
        allocatedBytes: 1,
        machineId: null,
      };
    },
    uploadBundle: async () => {
      world.journals.add("upload");
      await at("upload");
      world.journals.clear();
      return upload;
    },
    discardUpload: async () => world.journals.clear(),
  };
  return { ...bundles, ...caching(world, at), ...making(world, name, at) };
}

function caching(world: World, at: (step: string) => Promise<void>): CacheActivities & CacheKeepingActivities {
  return {
    pruneCache: async () => {
      await at("prune");
      return { removed: [], removedBytes: 0, kept: [], dryRun: false };
    },
    pinImages: ({ change: { act } }) => at(act),
    makeRoom: async () => {
      await at("make room");
      return { cached: world.cached.has(digest), evicted: [] };
    },
    fetchImage: async ({ wanted: { archive } }) => {
      world.incoming.add(digest);
      await at("fetch");
      const measured = { digest, logicalBytes: 1000, allocatedBytes: 600, guestOs: null, vcpus: 2, memoryBytes: 1 };
      return {
        ...(archive ? { unpacked: measured } : {}),
        digest,
        fetchedBytes: 500,
        reusedBytes: 0,
        logicalBytes: 1000,
        wasCached: false,
      };
    },
    verifyImage: () => at("verify"),
    revealImage: async () => {
      world.incoming.delete(digest);
      world.cached.add(digest);
    },
    discardFetch: async () => void world.incoming.delete(digest),
  };
}

function making(
  world: World,
  host: string,
  at: (step: string) => Promise<void>,
): MachineActivities & HostActionActivities & HostAdoptActivities & HostLetGoActivities {
  return {
    adoptMachine: async (): Promise<AdoptedEffect> => {
      for (const step of ["register", "mark"]) await at(step);
      return { observed: "stopped", seen: seenMachine() };
    },
    letGoMachine: async ({ machineId }) => {
      await at("unregister");
      world.machines.delete(machineId);
    },
    unmarkMachine: async () => void world.acted.push("unmark"),
    createMachine: async ({ placement, skip }) => {
      const told = async (step: string) => {
        world.steps.set(step, "running");
        await at(step);
        world.steps.set(step, "done");
      };
      if (placement.cached) await told("make room");
      if (!world.cached.has(digest)) throw new FaultError({ code: "image_not_cached", message: "The image is not there." });
      world.machines.set("m", { host, state: "stopped", epoch: placement.epoch });
      for (const step of ["clone", "register", "configure", "start", "address", "answers"]) if (!skip.includes(step)) await told(step);
      world.machines.set("m", { host, state: "running", epoch: 1 });
      return { macAddress: "001C42000001", bundlePath: "/vm/ci-1.pvm", diskBytes: 10, addresses: ["10.211.55.3"] };
    },
    stopMachine: async ({ machineId }) => {
      await at("stop");
      const machine = world.machines.get(machineId);
      if (machine) world.machines.set(machineId, { ...machine, state: "stopped" });
    },
    removeMachine: async ({ machineId }) => {
      await at("remove");
      world.machines.delete(machineId);
    },
    dropSnapshot: async () => void world.acted.push("drop snapshot"),
    actOnMachine: async ({ step, action }) => {
      await at(step);
      world.acted.push(action.verb);
      return { observed: action.verb === "stop" ? "stopped" : "running", result: { exitCode: 0 } };
    },
  };
}
