/**
 * The operations whose histories are recorded: every verb in every way that an operation can go.
 *
 * The one idea: what is recorded is a list and not what happened to happen once, so a verb that nobody recorded fails a test.
 */
import type { Code } from "../../domain/errors.ts";
import { verbs, type Decision, type OnFault, type Verb } from "../../domain/operations/rules.ts";
import { hostBackSignal, hostLostSignal } from "../../workflows/host-loss.ts";
import { roomSignal } from "../../workflows/machines/provision.ts";
import { decisions } from "../../workflows/parking.ts";
import { begin, type Harness, type HostName, type Run } from "../workflows/harness.ts";
import { digest, newWorld, type World } from "../workflows/world.ts";
import { beside } from "./beside.ts";

/** Beside the verbs of operations: what brings events to webhooks, what keeps pools, and what makes many machines. */
type Recorded = Verb | "deliver" | "keepPool" | "provisionMany";
export interface Scenario {
  readonly verb: Recorded;
  /** How it went, as the name of the file says it. */
  readonly how: string;
  /** Plays it until its history is what is wanted: ended, or parked and still open. */
  play(harness: Harness): Promise<Run>;
}

/** What every verb must have been recorded as. `repeated`: a step that was tried again by itself. */
export const everyWay = ["done", "failed", "cancelled", "parked", "retried", "repeated", "aborted"] as const;

const ownWorkflows: readonly Verb[] = [
  "push",
  "pull",
  "provision",
  "retire",
  "adopt",
  "prefetch",
  "cache",
  "import",
  "export",
  "collect",
  "check",
  "scrub",
  "heal",
  "retain",
  "drain",
];
export const workflowType = (verb: Verb): string => (ownWorkflows.includes(verb) ? verb : "operate");

/** One operation that is played: its world, what it is asked, the step of a host that meets the trouble. */
interface Play {
  readonly harness: Harness;
  readonly world: World;
  readonly step: string;
  readonly run: Run;
}

interface Setting {
  readonly input?: Record<string, unknown>;
  readonly options?: { onFault?: OnFault; parkLimitMs?: number };
  readonly step?: string;
  /** Where it is not the verb's usual one. */
  readonly workflow?: string;
}

/** Makes a scenario: `before` sets the world up, `after` acts while the operation runs. */
function scenario(
  verb: Verb,
  how: string,
  parts: { setting?: Setting; before?: (world: World, step: string) => void; after?: (play: Play) => Promise<void> },
): Scenario {
  const { setting = {}, before = () => {}, after = ({ run }) => run.ended } = parts;
  return {
    verb,
    how,
    play: async (harness) => {
      const world = newWorld();
      const step = setting.step ?? troubledStep(verb);
      if (verb !== "provision") world.machines.set("m", { host: "mac-1", state: "running", epoch: 1 });
      before(world, step);
      const input = (host: (name: HostName) => string) => ({ ...asked(verb, host), ...setting.input });
      const run = await begin(harness, world, setting.workflow ?? workflowType(verb), input, setting.options);
      await after({ harness, world, step, run });
      return run;
    },
  };
}

const catalogVerbs: readonly Verb[] = ["push", "pull"];
const troubled: Partial<Record<Verb, string>> = {
  push: "upload",
  pull: "fetch",
  provision: "start",
  retire: "remove",
  adopt: "register",
  import: "upload",
  export: "write archive",
  prefetch: "plan",
  cache: "prune",
  collect: "mark",
  check: "structure",
  scrub: "read",
  heal: "write anew",
  retain: "delete",
  drain: "machine: ci-1",
};
const troubledStep = (verb: Verb): string => troubled[verb] ?? verb;

export function asked(verb: Verb, host: (name: HostName) => string): Record<string, unknown> {
  const hostId = host("mac-1");
  const machine = { hostId, machineId: "m", machineName: "ci-1", epoch: 1, takesOver: false };
  if (verb === "push") return { hostId, path: "/vm/base.pvm" };
  if (verb === "pull" || verb === "import") return { hostId };
  if (verb === "export") return {};
  if (verb === "prefetch") return { atOnce: 1 };
  if (verb === "cache") return { hostId, change: { act: "prune", digests: null, unusedForMs: 0, dryRun: false } };
  if (verb === "collect") return { storeId: "s", dryRun: false };
  if (verb === "check") return { storeId: "s", readData: 1 };
  if (verb === "scrub") return { storeId: "s", share: null };
  if (verb === "heal") return { hostId, storeId: "s", digest };
  if (verb === "retain") return {};
  if (verb === "drain") return { hostId, machines: "wait", limitMs: 3_600_000 };
  if (verb === "provision") return { machineId: "m" };
  if (verb === "retire") return { ...machine, graceMs: 1000 };
  if (verb === "adopt") return { ...machine, seenId: "m" };
  return { ...machine, action: { verb }, ...(verb === "clone" ? { cloneId: "c" } : {}) };
}

const mendable = (verb: Verb): Code => (catalogVerbs.includes(verb) ? "store_denied" : "licence_expired");
const meets =
  (code: Code, times: number) =>
  (world: World, step: string): void =>
    void world.troubles.set(step, { code, times });
const forEver = 99;
/** Of an operation that another one asked for. */
const refused =
  (code: Code) =>
  (world: World, step: string): void =>
    void world.refusals.set(step, { code, message: "It came to nothing." });
const throughManager = { hostId: null, through: { copies: true } };

const parked = ({ run, world, step }: Play) => run.until(() => world.steps.get(step) === "parked", `${step} is parked`);
const running = ({ run, world, step }: Play) => run.until(() => world.steps.get(step) === "running", `${step} runs`);
const told = (word: Decision) => async (play: Play) => {
  await parked(play);
  await play.run.handle.executeUpdate(decisions[word]);
  await play.run.ended;
};
const endless = (world: World, step: string) => void world.endless.add(`mac-1:${step}`);
const lostAndBack = async (play: Play) => {
  const { run, world } = play;
  await running(play);
  await run.handle.signal(hostLostSignal, run.hosts["mac-1"]);
  await parked(play);
  world.endless.clear();
  await run.handle.signal(hostBackSignal, run.hosts["mac-1"]);
  await run.ended;
};

const general = (verb: Verb): Scenario[] => [
  scenario(verb, "done", {}),
  scenario(verb, "failed", { before: meets("argument_refused", forEver) }),
  scenario(verb, "failed-at-once", { setting: { options: { onFault: "fail" } }, before: meets(mendable(verb), forEver) }),
  scenario(verb, "cancelled", {
    before: endless,
    after: (play) => running(play).then(() => play.run.handle.cancel().then(() => play.run.ended)),
  }),
  scenario(verb, "parked", { before: meets(mendable(verb), forEver), after: parked }),
  scenario(verb, "retried", { before: meets(mendable(verb), catalogVerbs.includes(verb) ? 4 : 1), after: told("retry") }),
  scenario(verb, "repeated", { before: meets("prlctl_busy", 2) }),
  scenario(verb, "aborted", { before: meets(mendable(verb), forEver), after: told("abort") }),
  scenario(verb, "given-up", { setting: { options: { parkLimitMs: 300 } }, before: meets(mendable(verb), forEver) }),
  scenario(verb, "cancelled-parked", {
    before: meets(mendable(verb), forEver),
    after: (play) => parked(play).then(() => play.run.handle.cancel().then(() => play.run.ended)),
  }),
];

/** What only some verbs do. */
const special: readonly Scenario[] = [
  scenario("push", "store-denied", { setting: { step: "check store" }, before: meets("store_denied", 4), after: told("retry") }),
  scenario("push", "host-lost", { before: endless, after: lostAndBack }),
  scenario("pull", "host-lost", { before: endless, after: lostAndBack }),
  scenario("pull", "cached", { before: (world) => void world.cached.add(digest) }),
  scenario("provision", "cached", { before: (world) => void world.cached.add(digest) }),
  scenario("provision", "in-one-turn", {
    before: (world) => {
      world.cached.add(digest);
      world.believesCached = true;
    },
  }),
  scenario("provision", "out-of-a-batch", {
    setting: { input: { standing: { hostId: "mac-1", epoch: 1 } } },
    before: (world) => {
      world.cached.add(digest);
      world.believesCached = true;
    },
  }),
  scenario("provision", "believed-cached", { before: (world) => void (world.believesCached = true) }),
  scenario("provision", "no-capacity", { setting: { step: "place" }, before: meets("no_capacity", forEver) }),
  scenario("provision", "waited-for-room", {
    setting: { step: "place", input: { waitMs: 3_600_000 } },
    before: meets("no_capacity", 1),
    after: async ({ run, world }) => {
      await run.until(() => world.acted.includes("await room"), "it waits for room");
      await run.handle.signal(roomSignal);
      await run.ended;
    },
  }),
  scenario("provision", "skipped", { setting: { step: "answers" }, before: meets("tools_unavailable", forEver), after: told("skip") }),
  scenario("provision", "placed-again", {
    before: endless,
    after: async (play) => {
      await play.run.until(() => play.world.machines.has("m"), "the first host works");
      await running(play);
      await play.run.handle.signal(hostLostSignal, play.run.hosts["mac-1"]);
      await play.run.ended;
    },
  }),
  scenario("prefetch", "one-host-failed", {
    setting: { options: { onFault: "fail" }, step: "verify" },
    before: meets("content_corrupt", 8),
  }),
  scenario("prefetch", "cancelled-fetching", {
    setting: { step: "fetch" },
    before: endless,
    after: (play) => running(play).then(() => play.run.handle.cancel().then(() => play.run.ended)),
  }),
  scenario("cache", "pinned", { setting: { step: "pin", input: { change: { act: "pin", digests: [digest] } } } }),
  scenario("cache", "host-lost", { before: endless, after: lostAndBack }),
  scenario("collect", "foreseen", { setting: { step: "look", input: { storeId: "s", dryRun: true } } }),
  scenario("check", "structure-only", { setting: { input: { storeId: "s", readData: 0 } } }),
  scenario("heal", "host-lost", { before: endless, after: lostAndBack }),
  scenario("import", "not-converted", { setting: { input: { hostId: null } } }),
  scenario("import", "not-there", { setting: { step: "read manifest" }, before: meets("archive_not_found", forEver) }),
  scenario("import", "through-a-manager", { setting: { input: throughManager } }),
  scenario("import", "through-a-manager-repeated", {
    setting: { step: "copy archive", input: throughManager },
    before: meets("remote_unreachable", 2),
  }),
  scenario("import", "through-a-manager-failed", {
    setting: { step: "make machine", input: throughManager },
    before: refused("no_capacity"),
  }),
  scenario("export", "through-a-manager", { setting: { input: { through: true } } }),
  scenario("export", "through-a-manager-failed", {
    setting: { step: "push bundle", input: { through: true } },
    before: refused("bundle_refused"),
  }),
  scenario("import", "host-lost", { before: endless, after: lostAndBack }),
  scenario("retire", "skipped", { before: meets("licence_expired", forEver), after: told("skip") }),
  scenario("retire", "host-lost", { before: endless, after: lostAndBack }),
  scenario("retire", "of-no-host", { setting: { input: { hostId: null } } }),
  scenario("retire", "keeping-files", { setting: { workflow: "letGo" } }),
  scenario("adopt", "of-a-path", { setting: { input: { bundlePath: "/vm/kept.pvm" } } }),
  scenario("adopt", "of-a-path-failed", {
    setting: { input: { bundlePath: "/vm/kept.pvm" }, step: "mark" },
    before: meets("argument_refused", forEver),
  }),
  scenario("retire", "taking-over", { setting: { input: { takesOver: true } } }),
  scenario("stop", "taking-over", { setting: { input: { takesOver: true } } }),
  scenario("start", "host-lost", { before: endless, after: lostAndBack }),
  scenario("drain", "overdue", { setting: { input: { limitMs: 300 } }, before: endless, after: told("skip") }),
  scenario("drain", "retiring", { setting: { input: { machines: "retire" } } }),
  scenario("drain", "of-no-machine", { before: (world) => world.machines.clear() }),
  scenario("execute", "outcome-unknown", { before: meets("outcome_unknown", forEver) }),
];

export const scenarios: readonly Scenario[] = [...verbs.flatMap(general), ...special, ...beside];
export const nameOf = ({ verb, how }: Pick<Scenario, "verb" | "how">): string => `${verb}.${how}.json`;
