/** `drover host list|show`. */
import { isClockOff } from "../../domain/hosts/rules.ts";
import { mixedVersions } from "../../domain/hosts/versions.ts";
import type { Host as HostShape } from "../../domain/hosts/schema.ts";
import { pathOf } from "../client.ts";
import type { Context } from "../context.ts";
import { ago, bytes, list, time } from "../output/format.ts";
import { facts, table } from "../output/table.ts";
import { Host } from "../wire.ts";

export async function listHosts(context: Context): Promise<void> {
  const found = await (await context.hub()).list("/hosts", Host);
  const words = () =>
    table(
      found,
      [
        { title: "HOST", of: ({ name }) => name },
        { title: "STATE", of: stateOf },
        { title: "ARCH", of: ({ facts: known }) => known?.architecture },
        { title: "CPU", of: ({ facts: known }) => known?.cpus, right: true },
        { title: "MEMORY", of: ({ facts: known }) => bytes(known?.memoryBytes), right: true },
        { title: "FREE DISK", of: ({ facts: known }) => bytes(known?.freeBytes), right: true },
        { title: "WORKER", of: ({ facts: known }) => known?.workerVersion },
        { title: "CACHED", of: ({ cached }) => cached.length, right: true },
        { title: "LABELS", of: ({ labels }) => list(labels) },
        { title: "REPORTED", of: ({ lastReportAt }) => ago(lastReportAt) },
      ],
      "No host is enrolled.",
    );
  context.show(found, words);
  const mixed = mixedVersions(found);
  if (mixed !== null) context.remark(mixed);
}

export async function showHost(context: Context, [host = ""]: readonly string[]): Promise<void> {
  const found = await (await context.hub()).get(pathOf("hosts", host), Host);
  context.show(found, () => describe(found));
}

const stateOf = ({ state, enabled, cordon }: HostShape): string =>
  [state, ...(enabled ? [] : ["disabled"]), ...(cordon === null ? [] : [cordon])].join(", ");

/** Told only when it is wrong. */
export const clockOf = (offsetMs: number | undefined): string | undefined =>
  offsetMs === undefined || !isClockOff(offsetMs)
    ? undefined
    : `off by ${Math.abs(offsetMs) / 1000} s (${offsetMs > 0 ? "ahead" : "behind"}): set it by NTP`;

export function describe(host: HostShape): string {
  const known = host.facts;
  const cachedBytes = host.cached.reduce((sum, image) => sum + image.bytes, 0);
  return facts([
    ["host", host.name],
    ["id", host.id],
    ["state", stateOf(host)],
    ["drained by", host.draining ?? undefined],
    ["maintenance", host.maintenanceUntil ? `until ${time(host.maintenanceUntil)}` : undefined],
    ["reported", ago(host.lastReportAt)],
    ["labels", list(host.labels)],
    ["taints", list(host.taints)],
    ["system", known && `${known.osName} ${known.osVersion}, ${known.architecture}`],
    ["processor", known && `${known.cpuModel}, ${known.cpus} cores`],
    ["memory", bytes(known?.memoryBytes)],
    ["disk", known && `${bytes(known.freeBytes)} of ${bytes(known.diskBytes)} free`],
    [
      "hypervisor",
      known &&
        `${known.hypervisor.name} ${known.hypervisor.version}${known.hypervisor.simulated ? " (simulated)" : ""}, licence ${known.hypervisor.licence}`,
    ],
    ["machines in", known?.machineFolder],
    ["cached", `${host.cached.length} images, ${bytes(cachedBytes)}`],
    ["overcommit", `CPU ${host.overcommitCpu}, memory ${host.overcommitMemory}`],
    ["clock", clockOf(known?.clockOffsetMs)],
    ["worker", known?.workerVersion],
    ["enrolled", time(host.createdAt)],
  ]);
}
