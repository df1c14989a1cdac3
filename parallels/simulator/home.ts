/**
 * The folder that one simulated Mac lives in, and the facts about that Mac.
 *
 * The one idea: the folder is all there is; two folders are two Macs, and removing the folder removes the Mac.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface HostFacts {
  readonly hostName: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly serverId: string;
  readonly hardwareId: string;
  readonly user: string;
}

/** How the launcher tells the commands their folder; the callers of the commands never see it. */
export const homeVariable = "DROVER_SIMULATOR_HOME";

export const pathsIn = (home: string) => ({
  host: join(home, "host.json"),
  control: join(home, "control.json"),
  registry: join(home, "registry.db"),
  boots: join(home, "boots"),
  machines: join(home, "Parallels"),
  guests: join(home, "guests"),
  commands: join(home, "bin"),
  hanging: join(home, "hanging"),
  compiled: join(home, "compiled"),
});

export const readHost = (home: string): HostFacts => JSON.parse(readFileSync(pathsIn(home).host, "utf8")) as HostFacts;
