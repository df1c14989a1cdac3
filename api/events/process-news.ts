/**
 * What a process tells of itself to those who may hear it: its log, line by line, and how much it uses.
 *
 * The one idea: this is of the process that answers and of this moment only; it has no number, is not told again, and gives way to whatever has one.
 */
import { z } from "zod";
import type { Hub } from "../ports.ts";
import type { Listeners } from "./listeners.ts";

export const statsEveryMs = 5_000;
const Line = z.object({ level: z.int(), time: z.number(), msg: z.string().default("") });
const levels: Readonly<Record<number, string>> = { 20: "debug", 30: "info", 40: "warning", 50: "error", 60: "error" };

/** Ends with the signal. */
export async function tellLogs({ logs }: Pick<Hub, "logs">, listeners: Listeners, signal: AbortSignal): Promise<void> {
  for await (const text of logs.follow(signal)) {
    const wanting = [...listeners.all.values()].filter((listener) => listener.wants("system_logs"));
    const line = wanting.length === 0 ? null : parsedLine(text);
    if (!line) continue;
    const body = { level: levels[line.level] ?? "info", message: line.msg, time: new Date(line.time).toISOString() };
    for (const listener of wanting) listener.news({ event_type: "system_logs", message: "System Log", body }, null);
  }
}

function parsedLine(text: string): z.infer<typeof Line> | null {
  try {
    return Line.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}

let before = { cpu: process.cpuUsage(), atMs: performance.now() };

export function tellStats({ all }: Listeners): void {
  const wanting = [...all.values()].filter((listener) => listener.wants("stats"));
  const [cpu, atMs] = [process.cpuUsage(), performance.now()];
  const usedMs = (cpu.user + cpu.system - before.cpu.user - before.cpu.system) / 1000;
  const percent = (usedMs / Math.max(1, atMs - before.atMs)) * 100;
  before = { cpu, atMs };
  const { rss, heapUsed } = process.memoryUsage();
  const body = {
    memory_bytes: rss,
    memory_alloc_bytes: heapUsed,
    cpu_user_seconds: cpu.user / 1e6,
    cpu_system_seconds: cpu.system / 1e6,
    cpu_percent: percent,
    // What holds this process alive, in the place of the threads of another language.
    goroutines: process.getActiveResourcesInfo().length,
    goroutines_smoothed: process.getActiveResourcesInfo().length,
  };
  for (const listener of wanting) listener.news({ event_type: "stats", message: "System Stats", body }, null);
}
