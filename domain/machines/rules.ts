/**
 * What a machine may do in which state, and what each state costs its host. Pure; imported by workflows.
 */
import type { Reader } from "../access/rules.ts";
import { maySee } from "../catalog/rules.ts";
import { ok, refuse, type Result } from "../errors.ts";
import type { Verb } from "../operations/rules.ts";

export const settledMachineStates = ["running", "stopped", "suspended", "paused", "invalid"] as const;
export const passingMachineStates = [
  "starting",
  "stopping",
  "resuming",
  "suspending",
  "pausing",
  "resetting",
  "restoring",
  "continuing",
  "snapshoting",
  "snapshooting",
  "del_snapshot",
  "compacting",
  "migrating",
  "syncing",
  "reconnecting",
  "mounted",
] as const;
/** `making`: being provisioned; `absent`: its host reported and does not have it; `unknown`: nobody reported. */
export const machineStates = [...settledMachineStates, ...passingMachineStates, "making", "absent", "unknown"] as const;
export type MachineState = (typeof machineStates)[number];

export const desiredStates = ["running", "stopped", "suspended", "paused", "absent"] as const;
export type DesiredState = (typeof desiredStates)[number];

export const stopModes = ["graceful", "kill", "drop-state"] as const;
export type StopMode = (typeof stopModes)[number];

interface Guarded {
  readonly project: string;
  readonly owner: string;
  readonly requiredRoles: readonly string[];
  readonly requiredClaims: readonly string[];
}
/** What another project has does not exist; within one, a machine's own roles and claims decide, and its owner always reaches it. */
export const mayReach = (machine: Guarded, reader: Reader): boolean =>
  machine.project === reader.project && (machine.owner === reader.userId || maySee(machine, { ...reader, everything: reader.isSuperUser }));

/** States whose machines hold CPU, memory and, for macOS guests, a slot. All but these hold disk only. */
const resting: ReadonlySet<MachineState> = new Set(["stopped", "suspended", "invalid", "absent"]);
export const holdsProcessor = (state: MachineState): boolean => !resting.has(state);

/** Verbs after which the machine holds CPU and memory: they reserve both before they start. */
const waking: ReadonlySet<Verb> = new Set(["start", "resume", "restart", "reset"]);
export const reserves = (verb: Verb): boolean => waking.has(verb);

/** Apple's licence: two running macOS guests on one Mac. */
export const macosSlotsPerHost = 2;

const desiredAfter: Partial<Record<Verb, DesiredState>> = {
  start: "running",
  restart: "running",
  resume: "running",
  reset: "running",
  stop: "stopped",
  suspend: "suspended",
  pause: "paused",
  retire: "absent",
};
export const desiredBy = (verb: Verb): DesiredState | null => desiredAfter[verb] ?? null;

/** In which settled states a verb makes sense. A state already reached is success elsewhere, not a refusal here. */
const allowed: Partial<Record<Verb, readonly MachineState[]>> = {
  start: ["stopped", "running"],
  stop: ["running", "paused", "suspended", "stopped"],
  restart: ["running"],
  suspend: ["running", "suspended"],
  pause: ["running", "paused"],
  resume: ["suspended", "paused", "running"],
  reset: ["running", "paused"],
  rename: ["stopped", "suspended"],
  clone: ["stopped", "suspended"],
  execute: ["running"],
  upload: ["running"],
  capture: ["running", "paused"],
};

/** Told early and again on the host: a passing state is never refused early, because it will have passed. */
export function mayAct(verb: Verb, machine: { name: string; observed: MachineState }): Result<void> {
  const states = allowed[verb];
  const settled = (settledMachineStates as readonly string[]).includes(machine.observed);
  if (!states || !settled || states.includes(machine.observed)) return ok(undefined);
  return refuse({
    code: "machine_state",
    message: `${verb} needs ${machine.name} to be ${states.join(" or ")}; it is ${machine.observed}.`,
    subject: machine.name,
    details: { observed: machine.observed, allowed: states },
  });
}

/** What the guest had in memory is somebody's work, and a suspended guest cannot be asked for anything: only a word of its own throws it away. */
export function mayStop({ name, observed }: { name: string; observed: MachineState }, mode: StopMode): Result<void> {
  if (mode !== "graceful" || observed !== "suspended") return ok(undefined);
  return refuse({
    code: "machine_state",
    message: `${name} is suspended and has nothing to be asked: resume it, or stop it with its state dropped.`,
    subject: name,
    details: { observed },
  });
}

/** Disks of linked clones lie in their source's bundle. */
export function mayRetire({ name }: { name: string }, clones: readonly { readonly name: string }[]): Result<void> {
  if (clones.length === 0) return ok(undefined);
  const names = clones.map((clone) => clone.name);
  const message = `${name} carries the disks of its linked clones: ${names.join(", ")}.`;
  return refuse({ code: "machine_cloned", message, subject: name, details: { clones: names } });
}

/** What is to be forgotten with its files kept: nothing of it may run, and no other machine's disks may hang on it, nor its own on another's. */
export function mayLetGo(
  { name, observed, isLinked }: { name: string; observed: MachineState; isLinked: boolean },
  clones: readonly { readonly name: string }[],
): Result<void> {
  if (isLinked)
    return refuse({ code: "machine_linked", message: `${name} is a linked clone: its files alone are no machine.`, subject: name });
  const alone = mayRetire({ name }, clones);
  if (!alone.ok || resting.has(observed)) return alone;
  const message = `${name} is ${observed}: stop it before it is unregistered.`;
  return refuse({ code: "machine_state", message, subject: name, details: { observed } });
}

/** A whole copy of a linked clone's bundle would still point into the bundle of the machine that it stands on. */
export function mayClone({ name, isLinked }: { name: string; isLinked: boolean }, linked: boolean): Result<void> {
  if (linked || !isLinked) return ok(undefined);
  return refuse({ code: "machine_linked", message: `${name} is a linked clone, so a full clone of it would not be whole.`, subject: name });
}

export const isMacOS = (kind: "pvm" | "macvm"): boolean => kind === "macvm";
