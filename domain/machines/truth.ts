/**
 * What is believed, what is repaired and what is only told, when a machine is not as the hub wants it. Pure decisions over plain facts.
 *
 * The one idea: what somebody does by hand on a host is believed, what happens by accident is repaired, and what is not ours is shown and never touched.
 */
import { holdsProcessor, type DesiredState, type MachineState } from "./rules.ts";

/** What a machine that a host reports is to this hub. `ours`: its row's; `newer`: its row knows an older placement; `twin`: told to be removed. */
export const standings = ["ours", "newer", "twin", "orphan", "foreign"] as const;
export type Standing = (typeof standings)[number];

export const driftKinds = ["absent", "unregistered", "invalid", "name", "newer", "no_room", "not_repaired"] as const;
export type DriftKind = (typeof driftKinds)[number];

export interface Mark {
  readonly hubId: string;
  readonly machineId?: string | undefined;
  readonly epoch: number;
  readonly copied?: boolean | undefined;
}
export interface Reported {
  readonly id: string;
  readonly mark: Mark | null;
  readonly unregistered?: boolean | undefined;
}
/** The row of the machine's id, living or retired. */
export interface Claim {
  readonly hostId: string | null;
  readonly epoch: number;
  readonly retired: boolean;
}

/** `claim` is the row of the machine's id. */
export function standingOf(seen: Reported, hubId: string, hostId: string, claim: Claim | null): Standing {
  const mark = seen.mark?.hubId === hubId ? seen.mark : null;
  const own = mark === null || mark.machineId === undefined || mark.machineId === seen.id;
  // A copy by hand is a machine of its own, whatever became of the one that it was copied from.
  if (!own) return !seen.unregistered && isHere(claim, hostId) ? "ours" : "orphan";
  if (!mark) return isHere(claim, hostId) ? "ours" : "foreign";
  if (!claim) return "orphan";
  // A row that a restored database knows from before its placement is no reason to remove what was placed.
  if (!claim.retired && (claim.hostId === null || mark.epoch > claim.epoch)) return "newer";
  if (isHere(claim, hostId) && mark.epoch === claim.epoch) return "ours";
  // What lies on a disk unregistered may be somebody's backup: only the very bundle that was marked is taken for a remain of ours.
  return !seen.unregistered || !mark.copied ? "twin" : "orphan";
}

const isHere = (claim: Claim | null, hostId: string): boolean => claim !== null && !claim.retired && claim.hostId === hostId;

/** A machine's row and what its host saw of it, gathered after whatever was last done to it by an operation. */
export interface Difference {
  readonly name: string;
  readonly desired: DesiredState;
  /** The boot of the host in which the machine was last as desired. */
  readonly seenBoot: string | null;
  readonly bootId: string | null;
  readonly seen: { readonly name: string; readonly state: MachineState; readonly unregistered?: boolean | undefined } | null;
}

export interface Verdict {
  /** Somebody brought it into this state: it is the desired one from now on. */
  readonly believe: DesiredState | null;
  /** What brings it back to what is desired, after an accident. */
  readonly repair: "start" | "resume" | null;
  /** Whether it holds processor and memory of its host. */
  readonly runs: boolean;
  /** The name that somebody gave it. */
  readonly renamed: string | null;
  readonly drift: "absent" | "unregistered" | "invalid" | null;
  /** It is as desired in this boot of its host. */
  readonly settled: boolean;
}

const held: ReadonlySet<MachineState> = new Set(["running", "stopped", "suspended", "paused"]);
const isHeld = (state: MachineState): state is "running" | "stopped" | "suspended" | "paused" => held.has(state);

export function judge({ name, desired, seenBoot, bootId, seen }: Difference): Verdict {
  const nothing = { believe: null, repair: null, runs: false, renamed: null, drift: null, settled: false } as const;
  if (!seen) return { ...nothing, drift: "absent" };
  if (seen.unregistered) return { ...nothing, drift: "unregistered" };
  const { state } = seen;
  if (state === "invalid") return { ...nothing, drift: "invalid" };
  const known = { ...nothing, runs: holdsProcessor(state), renamed: seen.name === name ? null : seen.name };
  // On its way somewhere, or to be retired: the end decides.
  if (!isHeld(state) || desired === "absent") return known;
  if (state === desired) return { ...known, settled: true };
  const rebooted = desired === "running" && seenBoot !== null && seenBoot !== bootId;
  return rebooted ? { ...known, repair: state === "stopped" ? "start" : "resume" } : { ...known, believe: state };
}

/** A repair that was refused or failed is tried again after this long: often enough for a nuisance that passes, seldom enough for one that stays. */
export const repairAgainAfterMs = 300_000;

interface Drifting {
  readonly id: string;
  readonly name: string;
  readonly seenName: string;
  readonly bundlePath: string | null;
  /** Where the newer placement is. */
  readonly host: string | null;
}

/** What an operator reads of a drift, and does about it. A repair that was refused says so in its own words. */
export function driftOf(
  kind: Exclude<DriftKind, "not_repaired">,
  { id, name, seenName, bundlePath, host }: Drifting,
): { message: string; remedy: string } {
  switch (kind) {
    case "absent":
      return {
        message: `${name} is not on its host any more: somebody deleted it there, or took it away.`,
        remedy: `Retire it with \`drover machine retire ${name}\`, or bring it back to its host under its id ${id}.`,
      };
    case "unregistered":
      return {
        message: `${name} is not registered on its host any more; its bundle lies at ${bundlePath ?? "an unknown place"}.`,
        remedy: `Register it again with \`drover machine adopt ${id}\`, or retire it with \`drover machine retire ${name}\`.`,
      };
    case "invalid":
      return {
        message: `Parallels Desktop cannot read the bundle of ${name}, which was at ${bundlePath ?? "an unknown place"}.`,
        remedy: `Bring the bundle back to where it was, or retire the machine with \`drover machine retire ${name}\`.`,
      };
    case "name":
      return {
        message: `${name} is called ${seenName} on its host, and the hub cannot call it so: another machine has the name, or it holds characters that none may.`,
        remedy: "Rename it on its host, or rename the other machine; the hub follows by itself.",
      };
    case "newer":
      return {
        message: `The host ${host ?? "of another placement"} has ${name} in a newer placement than the hub knows, as after a restored database.`,
        remedy: `Take that one over with \`drover machine adopt ${id} --host ${host ?? "<host>"}\`.`,
      };
    case "no_room":
      return {
        message: `${name} was started by hand on a host that has no room left for it.`,
        remedy: "Stop it or another machine of that host; nothing is stopped by itself.",
      };
  }
}
