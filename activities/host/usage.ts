/** What this process uses, since somebody asked last. */
import type { HostUsage } from "../../domain/hosts/schema.ts";

export function openUsage(): () => HostUsage {
  let before = { cpu: process.cpuUsage(), atMs: performance.now() };
  return () => {
    const [cpu, atMs] = [process.cpuUsage(), performance.now()];
    const usedMs = (cpu.user + cpu.system - before.cpu.user - before.cpu.system) / 1000;
    const cpuPercent = (usedMs / Math.max(1, atMs - before.atMs)) * 100;
    before = { cpu, atMs };
    const { rss: memoryBytes, heapUsed: heapBytes } = process.memoryUsage();
    const resources = process.getActiveResourcesInfo().length;
    return { memoryBytes, heapBytes, cpuUserMs: cpu.user / 1000, cpuSystemMs: cpu.system / 1000, cpuPercent, resources };
  };
}
