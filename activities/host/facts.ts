/** What a host is and has, as it tells the hub: from the operating system and from Parallels Desktop, nothing guessed. */
import { execFile } from "node:child_process";
import { readFile, statfs } from "node:fs/promises";
import { arch, cpus, platform, release, totalmem, type as osType } from "node:os";
import { promisify } from "node:util";
import type { HostFacts } from "../../domain/hosts/schema.ts";
import type { Prlctl } from "../../parallels/prlctl.ts";

/** Grows with every change of what the hub may ask of a host. */
export const interfaceVersion = 2;

export interface FactSources {
  readonly prlctl: Prlctl;
  readonly machineFolder: string;
  readonly roots: readonly string[];
  readonly workerVersion: string;
  readonly simulated: boolean;
  /** A simulated host gives what it is told to give, not what this computer has. */
  readonly size?: { readonly cpus: number; readonly memoryBytes: number };
  readonly bootId: () => Promise<string>;
}

export async function hostFacts({
  prlctl,
  machineFolder,
  roots,
  workerVersion,
  simulated,
  size,
}: Omit<FactSources, "bootId">): Promise<HostFacts> {
  const [server, disk, os] = await Promise.all([prlctl.serverInfo(), statfs(machineFolder), system()]);
  return {
    hardwareId: server.hardwareId ?? server.hostName,
    // What is simulated is a Mac of today, whatever computer simulates it.
    architecture: simulated || arch() === "arm64" ? "arm64" : "x86_64",
    cpuModel: simulated ? "Apple silicon (simulated)" : cpus()[0]?.model.trim() || "unknown",
    ...os,
    cpus: size?.cpus ?? cpus().length,
    memoryBytes: size?.memoryBytes ?? totalmem(),
    diskBytes: disk.blocks * disk.bsize,
    freeBytes: disk.bavail * disk.bsize,
    machineFolder,
    roots: [...roots],
    hypervisor: { name: "Parallels Desktop", version: server.version, licence: server.licence.state, simulated },
    workerVersion,
    interfaceVersion,
  };
}

async function system(): Promise<{ osName: string; osVersion: string }> {
  if (platform() !== "darwin") return { osName: osType(), osVersion: release() };
  const { stdout } = await promisify(execFile)("/usr/bin/sw_vers", ["-productVersion"], { timeout: 10_000 });
  return { osName: "macOS", osVersion: stdout.trim() };
}

/** Changes with every boot of the computer and never else. */
export async function bootId(): Promise<string> {
  if (platform() === "linux") return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  const { stdout } = await promisify(execFile)("/usr/sbin/sysctl", ["-n", "kern.bootsessionuuid"], { timeout: 10_000 });
  return stdout.trim();
}
