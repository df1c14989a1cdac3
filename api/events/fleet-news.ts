/**
 * What hosts tell of each moment: how much their own process uses, and for how long machines have been up.
 *
 * The one idea: it is read when somebody wants to hear it and else never; it has no number, and only the newest counts.
 */
import type { EventFacts } from "../../domain/events/rules.ts";
import type { HostUsage } from "../../domain/hosts/schema.ts";
import { reportedUptimes, reportedUsages } from "../../db/fleet-news.ts";
import type { Hub } from "../ports.ts";
import type { Listeners } from "./listeners.ts";
import type { WireEventType } from "./wire.ts";

/** Hosts report every five seconds, and so often the contract tells it. */
export const usageEveryMs = 5_000;
/** The contract names no rhythm; it changes by itself, so a minute says enough. */
export const uptimeEveryMs = 60_000;

const wantingAny = ({ all }: Listeners, ...types: WireEventType[]) =>
  [...all.values()].filter((one) => types.some((type) => one.wants(type)));
const nobody = { askedBy: null, machine: null, image: null };

export async function tellUsage({ db }: Pick<Hub, "db">, listeners: Listeners): Promise<void> {
  const wanting = wantingAny(listeners, "orchestrator");
  if (wanting.length === 0) return;
  for (const { id, project, usage } of await reportedUsages(db)) {
    const facts: EventFacts = { type: "host", name: "host.usage", project, ...nobody };
    const body = { host_id: id, stats: wireUsage(usage) };
    for (const listener of wanting) listener.news({ event_type: "orchestrator", message: "HOST_STATS_UPDATE", body }, facts);
  }
}

const wireUsage = ({ memoryBytes, heapBytes, cpuUserMs, cpuSystemMs, cpuPercent, resources }: HostUsage) => ({
  cpu_percent: cpuPercent,
  cpu_system_seconds: cpuSystemMs / 1000,
  cpu_user_seconds: cpuUserMs / 1000,
  // What holds the process alive, in the place of the threads of another language.
  goroutines: resources,
  goroutines_smoothed: resources,
  memory_alloc_bytes: heapBytes,
  memory_bytes: memoryBytes,
});

export function uptimeTeller({ db }: Pick<Hub, "db">) {
  let told: ReadonlyMap<string, string> = new Map();
  return async (listeners: Listeners): Promise<void> => {
    const wanting = wantingAny(listeners, "pdfm", "orchestrator");
    if (wanting.length === 0) return;
    const machines = await reportedUptimes(db);
    for (const { id, hostId, project, uptime, ...machine } of machines) {
      if (told.get(id) === uptime) continue;
      const facts: EventFacts = { type: "machine", name: "machine.uptime", project, ...nobody, machine };
      const body = { vm_id: id, uptime };
      for (const listener of wanting) {
        listener.news({ event_type: "pdfm", message: "VM_UPTIME_CHANGED", body }, facts);
        listener.news({ event_type: "orchestrator", message: "HOST_VM_UPTIME_CHANGED", body: { host_id: hostId, event: body } }, facts);
      }
    }
    told = new Map(machines.map(({ id, uptime }) => [id, uptime]));
  };
}
