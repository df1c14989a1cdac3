/**
 * When a host counts as late or lost, and which host takes a machine. Pure decisions over plain facts.
 *
 * The one idea: placement says for every host what it lacks, so that "no capacity" is an answer and not a riddle.
 */
import { ok, refuse, type Result } from "../errors.ts";

export const hostStates = ["enrolled", "online", "late", "lost"] as const;
export type HostState = (typeof hostStates)[number];

/** A host reports every 5 s: two missed are late, five more are lost. */
export const reportIntervalMs = 5_000;
export const lateAfterMs = 10_000;
export const lostAfterMs = 30_000;

/** Why a host takes no new machines: an operator said so, a drain empties it, or a maintenance window is open. What runs there goes on. */
export const cordons = ["cordoned", "draining", "in maintenance"] as const;
export type Cordon = (typeof cordons)[number];

export function mayTakeMachines({ name, cordon }: { name: string; cordon: Cordon | null }): Result<void> {
  if (cordon === null) return ok(undefined);
  return refuse({ code: "host_cordoned", message: `The host ${name} is ${cordon} and takes no new machines.`, subject: name });
}

/** What a drain does with the machines of its host. `wait`: until each has ended by itself. None is moved: a running one cannot leave its Mac. */
export const drainPolicies = ["wait", "stop", "retire"] as const;
export type DrainPolicy = (typeof drainPolicies)[number];

/** One that was late has to report in time for so long before it counts as online again: one whose reports come now and then is late all the while. */
export const steadyAfterMs = 3 * reportIntervalMs;

/** `told` is what was told last, which is told anew only when a host has settled. Who comes back from being lost is waited for, and back at once. */
export const settledState = (told: HostState, now: HostState): HostState => (told === "late" && now === "online" ? told : now);

/** Nothing that a host does hangs on its own clock; one that is a minute off is wrong all the same, and its logs mislead. */
export const isClockOff = (offsetMs: number): boolean => Math.abs(offsetMs) > 60_000;

export function hostStateAt(silentMs: number | null): HostState {
  if (silentMs === null) return "enrolled";
  if (silentMs > lostAfterMs) return "lost";
  return silentMs > lateAfterMs ? "late" : "online";
}

/** `spread`: on the host that has most left, so that a busy or lost host harms few. `fill`: on the one that has least, so that large machines find room. */
export const profiles = ["spread", "fill"] as const;
export type Profile = (typeof profiles)[number];
export type Labels = Readonly<Record<string, string>>;

export interface Demand {
  readonly architecture: string;
  readonly vcpus: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly macos: boolean;
  readonly hostId?: string | undefined;
  readonly anyLabel: readonly string[];
  /** Taints of hosts that it bears. */
  readonly tolerates: readonly string[];
  /** On no host that has a machine with all these labels; of none where there are none. */
  readonly apartFrom: Labels;
  readonly profile: Profile;
  readonly digest: string;
  readonly excluded: readonly string[];
  /** False for a machine that is made but not started: it needs disk only. */
  readonly runs: boolean;
}

/** What a host has left once every reservation and every foreign machine is taken off. */
export interface Supply {
  readonly id: string;
  readonly name: string;
  readonly state: HostState;
  readonly enabled: boolean;
  /** Null where new machines are welcome. */
  readonly cordon: Cordon | null;
  readonly architecture: string;
  readonly labels: readonly string[];
  /** Keep away whatever does not bear them all, unless it names the host. */
  readonly taints: readonly string[];
  /** The labels of the machines there, as far as they were asked for. */
  readonly carries: readonly Labels[];
  readonly freeVcpus: number;
  readonly freeMemoryBytes: number;
  readonly freeDiskBytes: number;
  readonly freeMacosSlots: number;
  readonly cached: readonly string[];
}

/** Whether the labels of machines decide where any of these may go. */
export const looksAtLabels = (demands: readonly Demand[]): boolean => demands.some(({ apartFrom }) => Object.keys(apartFrom).length > 0);

/** What keeps a host from taking the machine; empty when nothing does. */
export function lacks(supply: Supply, demand: Demand): string[] {
  const wants = (short: boolean, words: string) => (short ? [words] : []);
  const labelled =
    demand.anyLabel.length === 0 || demand.anyLabel.some((label) => supply.labels.some((own) => own.toLowerCase() === label.toLowerCase()));
  const borne = demand.hostId === supply.id ? [] : supply.taints.filter((taint) => !demand.tolerates.includes(taint));
  const apart = Object.entries(demand.apartFrom);
  const crowded = apart.length > 0 && supply.carries.some((labels) => apart.every(([name, value]) => labels[name] === value));
  return [
    ...wants(demand.hostId !== undefined && demand.hostId !== supply.id, "is not the host asked for"),
    ...wants(demand.excluded.includes(supply.id), "was tried already"),
    ...wants(!supply.enabled, "is disabled"),
    ...wants(supply.cordon !== null, `is ${supply.cordon}`),
    ...wants(!takesWork(supply, demand), `is ${supply.state}`),
    ...wants(supply.architecture !== demand.architecture, `is ${supply.architecture}, not ${demand.architecture}`),
    ...wants(!labelled, `has none of the labels ${demand.anyLabel.join(", ")}`),
    ...wants(borne.length > 0, `keeps away what does not bear ${borne.join(", ")}`),
    ...wants(
      crowded,
      `has a machine with ${Object.entries(demand.apartFrom)
        .map(([name, value]) => `${name}=${value}`)
        .join(", ")}`,
    ),
    ...wants(demand.runs && supply.freeVcpus < demand.vcpus, `has ${supply.freeVcpus} of ${demand.vcpus} vCPU free`),
    ...wants(
      demand.runs && supply.freeMemoryBytes < demand.memoryBytes,
      `has ${mebibytes(supply.freeMemoryBytes)} of ${mebibytes(demand.memoryBytes)} MiB memory free`,
    ),
    ...wants(
      supply.freeDiskBytes < demand.diskBytes,
      `has ${mebibytes(supply.freeDiskBytes)} of ${mebibytes(demand.diskBytes)} MiB disk free`,
    ),
    ...wants(demand.runs && demand.macos && supply.freeMacosSlots < 1, "already runs two macOS machines"),
  ];
}

/** The same for people and programs: each host with what keeps it from taking the machine. */
export const lacking = (supplies: readonly Supply[], demand: Demand): { hostId: string; host: string; lacks: string[] }[] =>
  supplies
    .map((supply) => ({ hostId: supply.id, host: supply.name, lacks: lacks(supply, demand) }))
    .filter((host) => host.lacks.length > 0)
    .toSorted((a, b) => a.host.localeCompare(b.host));

/** One that is lost is waited for where the request names it; else another is chosen. */
const takesWork = ({ state, id }: Supply, { hostId }: Demand): boolean =>
  state === "online" || state === "late" || (state === "lost" && id === hostId);

/**
 * The hosts that may take the machine, best first: those that have the image, and only without any of them the others; then by the memory that they have left,
 * most or least first as the profile says, then by name. Of those that are named every one will do; the order is a preference.
 */
export function candidates(supplies: readonly Supply[], demand: Demand): Result<Supply[]> {
  const judged = supplies.map((supply) => ({ supply, missing: lacks(supply, demand) }));
  const fit = judged.filter(({ missing }) => missing.length === 0).map(({ supply }) => supply);
  const warm = fit.filter(({ cached }) => cached.includes(demand.digest));
  if (fit.length > 0) return ok((warm.length > 0 ? warm : fit).toSorted(better(demand.profile)));
  const reasons = judged.map(({ supply, missing }) => `${supply.name} ${missing.join(", ")}`);
  const message = reasons.length === 0 ? "No host is enrolled." : `No host can take the machine: ${reasons.join("; ")}.`;
  return refuse({ code: "no_capacity", message, details: { hosts: reasons } });
}

const better = (profile: Profile) => (a: Supply, b: Supply) =>
  (profile === "fill" ? a.freeMemoryBytes - b.freeMemoryBytes : b.freeMemoryBytes - a.freeMemoryBytes) || a.name.localeCompare(b.name);

const mebibytes = (bytes: number): number => Math.floor(bytes / 1024 ** 2);
