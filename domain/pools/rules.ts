/**
 * What a pool does next, decided from what there is. Pure.
 *
 * The one idea: a look at a pool answers all that is to be done now, and why fewer machines wait than should. Each answer is right alone: looking again, or twice at
 * once, asks for nothing more, because whatever is under way counts as there.
 */
import type { DesiredState, MachineState } from "../machines/rules.ts";
import type { FaultRecord } from "../operations/schema.ts";
import type { Verb } from "../operations/rules.ts";

export const idleStates = ["running", "suspended"] as const;
export type IdleState = (typeof idleStates)[number];
export const standings = ["making", "idle", "leased", "unreachable", "spoiled", "ending"] as const;
export type Standing = (typeof standings)[number];
export const shortfalls = ["making", "no_room", "maximum_reached", "backing_off", "host_silent", "refused", "ending"] as const;
export type ShortfallCode = (typeof shortfalls)[number];

/** One machine of a pool, as the rows have it. */
export interface Pooled {
  readonly machineId: string;
  readonly desired: DesiredState;
  readonly observed: MachineState;
  readonly isDrifted: boolean;
  /** What of it has not ended. */
  readonly underWay: readonly Verb[];
  /** Its time is over: the sweep ends it, and tries again where that fails. */
  readonly isDue: boolean;
  /** Whether anybody but the pool did something to it. */
  readonly isTouched: boolean;
  /** The last thing done to it that left it off, if that was the last of its kind: then it was switched off by an operation. */
  readonly isSwitchedOff: boolean;
  readonly isLeased: boolean;
  readonly isHostSilent: boolean;
  /** What each host lacks, where it waits for room. */
  readonly lacking: string | null;
  readonly isCurrent: boolean;
  readonly madeAt: Date;
}
export interface PoolFacts {
  readonly minimumIdle: number;
  readonly maximum: number;
  readonly idleState: IdleState;
  readonly isEnding: boolean;
  /** Of a pool that ends: whether its leases end with it. */
  readonly endsLeases: boolean;
  readonly machines: readonly Pooled[];
  /** How making them ended, the newest first, since the pool or its image changed. */
  readonly makings: readonly Making[];
  /** Why no machine could even be asked for, and when that was. */
  readonly refused: Refused | null;
  readonly now: Date;
}
export interface Refused {
  readonly fault: FaultRecord;
  readonly at: string;
}
export interface Making {
  readonly fault: FaultRecord | null;
  readonly endedAt: Date;
}

export interface Judged {
  readonly standing: Standing;
  readonly reason: string | null;
}

export function judge(machine: Pooled, idleState: IdleState): Judged {
  const { desired, observed, underWay, isLeased, isHostSilent } = machine;
  const is = (standing: Standing, reason: string | null = null): Judged => ({ standing, reason });
  if (desired === "absent" || machine.isDue || underWay.includes("retire")) return is("ending");
  if (underWay.includes("provision") || observed === "making")
    return is("making", machine.lacking === null ? null : `It waits for room: ${machine.lacking}`);
  const lost = brokenBy(machine);
  if (isLeased) return lost === null ? is("leased") : is("spoiled", lost);
  if (machine.isTouched) return is("spoiled", "Somebody did something to it before it was leased.");
  if (lost !== null) return is("spoiled", lost);
  if (isHostSilent || observed === "unknown") return is("unreachable", "Its host does not report.");
  if (underWay.length > 0) return is("making");
  if (observed === idleState && desired === idleState) return is("idle");
  if (idleState === "suspended" && observed === "running" && desired === "running") return is("making");
  return is("spoiled", `It is ${observed} and should wait ${idleState}.`);
}

const off: ReadonlySet<MachineState> = new Set(["stopped", "invalid", "absent"]);
/** What ends a machine that was given away: it is gone, or went off and nobody asked for that by an operation. */
function brokenBy({ observed, isDrifted, isLeased, isSwitchedOff, underWay }: Pooled): string | null {
  if (observed === "absent") return "It is not on its host any more.";
  if (observed === "invalid") return "Its host has it as invalid.";
  if (!isLeased) return isDrifted ? "It is not as it was made." : null;
  return off.has(observed) && !isSwitchedOff && underWay.length === 0 ? "It stopped by itself." : null;
}

export interface Plan {
  readonly make: number;
  readonly retire: ReadonlyArray<{ readonly machineId: string; readonly reason: string }>;
  readonly suspend: readonly string[];
  readonly counts: { readonly idle: number; readonly making: number; readonly leased: number; readonly ending: number };
  readonly shortfalls: readonly Shortfall[];
  /** When there may be something to do although nothing changes; null where the time changes nothing. */
  readonly again: Date | null;
}
export interface Shortfall {
  readonly code: ShortfallCode;
  readonly message: string;
  readonly until: Date | null;
  readonly fault: FaultRecord | null;
}

/** Of a hundred that are wanted at once, so many are made side by side: more than a fleet of fifty Macs starts in the time that one takes. */
export const makingAtMost = 50;

export function planOf(pool: PoolFacts): Plan {
  const judged = pool.machines.map((machine) => ({ machine, ...judge(machine, pool.idleState) }));
  const of = (standing: Standing) => judged.filter((one) => one.standing === standing);
  const [idle, making] = [of("idle"), of("making")];
  const counts = { idle: idle.length, making: making.length, leased: of("leased").length, ending: of("ending").length };
  const spoiled = of("spoiled").map(({ machine, reason }) => ({ machineId: machine.machineId, reason: reason ?? "It is spoiled." }));
  const suspend =
    pool.idleState === "suspended" && !pool.isEnding
      ? making.filter(({ machine }) => mayRest(machine)).map(({ machine }) => machine.machineId)
      : [];
  if (pool.isEnding) return { ...ending(pool, judged), suspend, counts };
  const numbers = numbersOf(pool, judged);
  const pause = pauseOf(pool.makings);
  const waits = [pause?.until, refusedUntil(pool.refused)].filter((until) => until !== undefined && until > pool.now);
  const atOnce = pause ? 1 : makingAtMost;
  const make = waits.length > 0 ? 0 : Math.min(numbers.wanted, numbers.room, atOnce - numbers.making);
  return {
    make: Math.max(0, make),
    retire: [...spoiled, ...leaving(pool, judged, numbers)],
    suspend,
    counts,
    shortfalls: idle.length >= pool.minimumIdle ? [] : shortfallsOf(pool, judged, { ...numbers, pause }),
    again: waits.toSorted((a, b) => Number(b) - Number(a))[0] ?? null,
  };
}

type JudgedMachine = Judged & { readonly machine: Pooled };
interface Numbers {
  /** How many are missing that are made as the pool is now. */
  readonly wanted: number;
  readonly room: number;
  readonly making: number;
  readonly ready: number;
}

const mayRest = ({ observed, desired, underWay }: Pooled): boolean =>
  observed === "running" && desired === "running" && underWay.length === 0;

function numbersOf({ minimumIdle, maximum, machines }: PoolFacts, judged: readonly JudgedMachine[]): Numbers {
  const hoped = judged.filter(({ standing, machine }) => machine.isCurrent && (standing === "idle" || standing === "making"));
  return {
    wanted: Math.max(0, minimumIdle - hoped.length),
    room: Math.max(0, maximum - machines.length),
    making: judged.filter(({ standing }) => standing === "making").length,
    ready: judged.filter(({ standing }) => standing === "idle").length,
  };
}

/**
 * Idle machines that go: those that are too many, outdated ones first, then the oldest. As long as replacements are missing no outdated one goes that is needed, unless
 * the maximum leaves no room to make one beside it: then one at a time.
 */
function leaving(
  { minimumIdle, maximum, machines, refused }: PoolFacts,
  judged: readonly JudgedMachine[],
  { wanted, room, making, ready }: Numbers,
) {
  const idle = judged.filter(({ standing }) => standing === "idle").map(({ machine }) => machine);
  const order = idle.toSorted((a, b) => Number(a.isCurrent) - Number(b.isCurrent) || a.madeAt.getTime() - b.madeAt.getTime());
  const going = judged.filter(({ standing }) => standing === "ending" || standing === "spoiled").length;
  const overMaximum = Math.min(machines.length - going - maximum, ready);
  const surplus = Math.max(0, ready - minimumIdle, overMaximum);
  const isStuck = wanted > 0 && room === 0 && making === 0 && going === 0 && refused === null && order[0]?.isCurrent === false;
  const reasonOf = ({ isCurrent }: Pooled) => (isCurrent ? "More wait than the pool should have." : "The pool or its image has changed.");
  return order.slice(0, Math.max(surplus, isStuck ? 1 : 0)).map((one) => ({ machineId: one.machineId, reason: reasonOf(one) }));
}

/** All go that nobody leased; leased ones only where the leases end too. */
function ending({ endsLeases }: PoolFacts, judged: readonly JudgedMachine[]): Pick<Plan, "make" | "retire" | "shortfalls" | "again"> {
  const stays = ({ standing }: JudgedMachine) => standing === "ending" || (standing === "leased" && !endsLeases);
  const retire = judged
    .filter((one) => !stays(one) && !(one.standing === "making" && one.machine.isLeased))
    .map(({ machine }) => ({ machineId: machine.machineId, reason: "Its pool was deleted." }));
  const message = "The pool was deleted: it makes no machines any more.";
  return { make: 0, retire, shortfalls: [{ code: "ending", message, until: null, fault: null }], again: null };
}

/** A broken image must not cost a machine per second: 5 s after the first failure, twice as long after each, at most ten minutes. */
const firstPauseMs = 5_000;
const longestPauseMs = 600_000;

interface Pause {
  readonly until: Date;
  readonly failures: number;
  readonly fault: FaultRecord;
}

/** Null when the last one was made well, or none was made yet. While there is one, a single machine tries whether it works again. */
export function pauseOf(makings: readonly Making[]): Pause | null {
  const well = makings.findIndex(({ fault }) => fault === null);
  const failures = well === -1 ? makings.length : well;
  const [last] = makings;
  if (failures === 0 || !last?.fault) return null;
  const ms = Math.min(firstPauseMs * 2 ** (failures - 1), longestPauseMs);
  return { until: new Date(last.endedAt.getTime() + ms), failures, fault: last.fault };
}

function shortfallsOf(
  { maximum, refused }: PoolFacts,
  judged: readonly JudgedMachine[],
  { room, making, wanted, pause }: Numbers & { readonly pause: Pause | null },
): Shortfall[] {
  const plain = (code: ShortfallCode, message: string): Shortfall => ({ code, message, until: null, fault: null });
  const silent = judged.filter(({ standing }) => standing === "unreachable").length;
  const waiting = judged.flatMap(({ standing, machine: { lacking } }) => (standing === "making" && lacking !== null ? [lacking] : []));
  const begun = making - waiting.length;
  return [
    ...(refused ? [notAsked(refused)] : []),
    ...(pause ? [backingOff(pause)] : []),
    ...(waiting.length > 0
      ? [plain("no_room", `${waiting.length} ${waiting.length === 1 ? "waits" : "wait"} for room: ${waiting[0]}`)]
      : []),
    ...(begun > 0 ? [plain("making", `${begun} ${begun === 1 ? "is" : "are"} being made.`)] : []),
    ...(wanted > 0 && room === 0 ? [plain("maximum_reached", `There are ${maximum} machines, the most that the pool may have.`)] : []),
    ...(silent > 0
      ? [plain("host_silent", `${silent} ${silent === 1 ? "is on a host that does" : "are on hosts that do"} not report.`)]
      : []),
  ];
}

function backingOff({ failures, fault, until }: Pause): Shortfall {
  const times = failures === 1 ? "The last machine" : `The last ${failures} machines`;
  return { code: "backing_off", message: `${times} could not be made: ${fault.message}`, until, fault };
}

/** What refuses a machine, such as a quota, changes by people: looking four times a minute is soon enough. */
const refusedMs = 15_000;
const refusedUntil = (refused: Refused | null): Date | undefined => (refused ? new Date(Date.parse(refused.at) + refusedMs) : undefined);
const notAsked = (refused: Refused): Shortfall => ({
  code: "refused",
  message: `No machine can be asked for: ${refused.fault.message}`,
  until: refusedUntil(refused) ?? null,
  fault: refused.fault,
});
