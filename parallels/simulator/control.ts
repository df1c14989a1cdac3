/**
 * The control file of a simulated Mac: how long things take, which quirks show, what fails.
 *
 * The one idea: it is read anew by every command, so a test or a person changes the behaviour of a running system by writing one file.
 * The usual times are those of a computer in a hurry; a real macOS guest takes 28 s from start to its address.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { pathsIn } from "./home.ts";

export interface Fault {
  /** The first word of the command line, or `*`. */
  readonly verb: string;
  /** Id or name; without it any machine. */
  readonly machine?: string;
  /** How often; without it always. */
  readonly times?: number;
  /**
   * `fail`: the command does nothing and fails with `stderr` and `exit`; `lost-exit-code`: it does its work and then cannot tell;
   * `hang`: it never ends and ignores SIGTERM; `slow`: it waits for `delayMs` first.
   */
  readonly kind: "fail" | "lost-exit-code" | "hang" | "slow";
  readonly stderr?: string;
  readonly exit?: number;
  readonly delayMs?: number;
  /** Tells faults of equal content apart, so that each is counted for itself. */
  readonly id?: string;
}

export const usualControl = {
  times: {
    createMs: 0,
    registerMs: 0,
    /** From `start` until the state is running. */
    startMs: 150,
    /** From running until the guest has its address, and until Parallels Tools accept a session. */
    addressMs: 150,
    toolsMs: 300,
    stopMs: 150,
    suspendMs: 100,
    resumeMs: 100,
    /** A resumed guest has its address at once, but refuses sessions for a while. */
    resumedToolsMs: 150,
  },
  faults: [] as readonly Fault[],
  licence: "valid" as "valid" | "expired" | "none",
  edition: "pro",
  /** The service is down: every command but --version says that the login failed. */
  serviceDown: false,
  /** Names or ids of machines; `true` means all. */
  toolsNeverUp: false as boolean | readonly string[],
  addressNever: false as boolean | readonly string[],
  /** The guest does not react to a graceful stop, which gives up after its limit. */
  ignoresStop: false as boolean | readonly string[],
  gracefulStopLimitMs: 120_000,
  /** Before its address a guest shows a link-local one. */
  linkLocalFirst: true,
  macvmReportsAddresses: false,
  /** Lists of all machines leave `Home` empty, or the path of the configuration as well. */
  bulkHomeEmpty: false as boolean | "both",
  /** The line about the edition stands before JSON. */
  noiseBeforeJson: false,
  stopWhenStoppedExit: 0,
  startOnSuspended: "error" as "error" | "resume",
  /** A longer command line of `exec` never ends. */
  execArgvHangBytes: 3900,
  guestSessions: 2,
  macosLimit: 2,
  linkedMacvmNeverBoots: true,
  /** `null`: as fast as the disk; else clones copy at this rate and report progress. */
  cloneBytesPerSecond: null as number | null,
  noSnapshotsText: "",
  /** Actions that ask for an administrator's password: create-vm, add-vm, remove-vm, clone-vm. */
  requirePassword: [] as readonly string[],
};
export type Control = typeof usualControl;
type Changes = Omit<Partial<Control>, "times"> & { readonly times?: Partial<Control["times"]> };

export function readControl(home: string): Control {
  const written = writtenControl(home);
  return { ...usualControl, ...written, times: { ...usualControl.times, ...written.times } };
}

function writtenControl(home: string): Changes {
  try {
    return JSON.parse(readFileSync(pathsIn(home).control, "utf8")) as Changes;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return {};
    throw error;
  }
}

/** Changes what is named and keeps the rest; faults given here count from the beginning. */
export function controlSimulator(home: string, changes: Changes): void {
  const before = writtenControl(home);
  const faults = changes.faults?.map((fault) => ({ ...fault, id: fault.id ?? crypto.randomUUID() }));
  const after = { ...before, ...changes, times: { ...before.times, ...changes.times }, ...(faults && { faults }) };
  const aside = `${pathsIn(home).control}.${crypto.randomUUID()}`;
  writeFileSync(aside, `${JSON.stringify(after, null, 2)}\n`);
  renameSync(aside, pathsIn(home).control);
}

/** Whether a switch that names machines, or all of them, means this one. */
export const concerns = (which: boolean | readonly string[], machine: { id: string; name: string }): boolean =>
  typeof which === "boolean" ? which : which.includes(machine.id) || which.includes(machine.name);
