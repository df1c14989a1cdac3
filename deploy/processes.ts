/**
 * Facts about processes of this computer that we may not have started ourselves.
 *
 * The one idea: a process id alone proves nothing, since ids are used again; the start time or the command line says whose it is.
 */
import { readFile } from "node:fs/promises";
import { setTimeout as after } from "node:timers/promises";
import { run } from "./toolchain/run.ts";

/** `ps` answers at once; where it does not, the computer is in trouble anyway. */
const psMs = 5_000;

/** The command line of a living process, else `null`. Linux without `ps` (slim container images) has /proc. */
export async function commandLine(pid: number): Promise<string | null> {
  if (process.platform === "linux") {
    const text = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    return text === "" ? null : text.replaceAll("\0", " ").trim();
  }
  const { code, output } = await run("ps", ["-p", String(pid), "-ww", "-o", "args="], { timeoutMs: psMs });
  return code === 0 && output.trim() !== "" ? output.trim() : null;
}

/** When a living process began, in words that only need to be compared; `null` when there is none. */
export async function startOf(pid: number): Promise<string | null> {
  if (process.platform === "linux") {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
    // Field 22; the second field is the name in parentheses and may itself hold spaces.
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  }
  const { code, output } = await run("ps", ["-p", String(pid), "-o", "lstart="], { timeoutMs: psMs });
  return code === 0 && output.trim() !== "" ? output.trim() : null;
}

export interface Orphan {
  readonly pid: number;
  /** A part of its command line that nobody else's has, such as its data folder. */
  readonly mark: string;
  readonly signal: NodeJS.Signals;
  /** It leads a process group, which ends with it. */
  readonly group?: boolean;
}

/** Ends a process that an earlier run left behind, and returns when it is gone; does nothing to a process that is not ours. */
export async function endOrphan({ pid, mark, signal, group = false }: Orphan): Promise<boolean> {
  // A clean end of PostgreSQL writes its buffers; ten seconds are plenty for the few that a small stack has.
  const deadline = Date.now() + 10_000;
  const isOurs = async () => (await commandLine(pid))?.includes(mark) === true;
  if (!(await isOurs())) return false;
  const target = group ? -pid : pid;
  signalProcess(target, signal);
  while (await isOurs()) {
    if (Date.now() > deadline) signalProcess(target, "SIGKILL");
    await after(50);
  }
  return true;
}

/** Succeeds when the process is already gone. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
