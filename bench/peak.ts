/**
 * The most memory that a process ever had, as the kernel itself noted it.
 *
 * Not from getrusage where there is something better: that number begins with what the parent had when it started the process.
 */
import { readFileSync } from "node:fs";

/** 0 when the process has ended, or the system has no such file. */
export function peakBytesOf(pid: number | "self"): number {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

export const ownPeakBytes = (): number => peakBytesOf("self") || process.resourceUsage().maxRSS * 1024;
