/**
 * Which Parallels Desktop this host talks to: the real one, or the simulator where that was asked for.
 *
 * The one idea: the choice is made here, once, and told in the log and to the hub; nothing behind it knows which one it is.
 */
import { mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Logger } from "pino";
import type { NoteCommand } from "../deploy/command-notes.ts";
import { bootId, type FactSources } from "../activities/host/facts.ts";
import type { Config } from "../domain/config/schema.ts";
import { FaultError } from "../domain/errors.ts";
import { locatePrlctl, type PrlctlPaths } from "../parallels/locate.ts";
import { openPrlctl } from "../parallels/prlctl.ts";
import { bootsOf } from "../parallels/simulator/boots.ts";
import { installSimulator } from "../parallels/simulator/install.ts";
import { version } from "./version.ts";

/** Parallels Desktop with the folders that it and requests may use, which exist when this returns. */
export async function openParallels(config: Config, log: Logger, onBegun?: NoteCommand): Promise<FactSources> {
  const { paths, ...found } = await locateParallels(config, log);
  const prlctl = openPrlctl(paths, onBegun);
  const machineFolder = (await prlctl.serverInfo()).vmHome ?? join(config.home, "machines");
  await mkdir(machineFolder, { recursive: true });
  const roots = config.hosts.roots.length > 0 ? config.hosts.roots : [machineFolder];
  return { prlctl, machineFolder, roots, workerVersion: version, ...found };
}

interface FoundParallels {
  readonly paths: PrlctlPaths;
  readonly simulated: boolean;
  readonly bootId: () => Promise<string>;
  readonly size?: { readonly cpus: number; readonly memoryBytes: number };
}

async function locateParallels({ home, hosts }: Config, log: Logger): Promise<FoundParallels> {
  if (hosts.simulate) {
    const folder = join(home, "simulator");
    const paths = await installSimulator(folder, { hostName: basename(home), ...hosts.simulatedSize });
    log.warn({ event: "host.simulated", folder }, "This host is simulated: its machines are real bundles on disk, and nothing boots.");
    return { paths, simulated: true, size: hosts.simulatedSize, bootId: async () => `${await bootId()}/${bootsOf(folder)}` };
  }
  const paths = await locatePrlctl({ given: hosts.prlctl, path: process.env["PATH"] ?? "" });
  if (paths) return { paths, simulated: false, bootId };
  const message = "Parallels Desktop was not found on this computer: there is no prlctl on PATH, in /usr/local/bin or in /usr/bin.";
  throw new FaultError({ code: "prlctl_unavailable", message });
}
