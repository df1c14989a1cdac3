/**
 * Installs a simulated Mac into a folder: its facts and its commands.
 *
 * The one idea: the folder is baked into the commands, so whoever calls them cannot tell them from the real ones. They keep compiled code
 * in the folder, which halves the time that a call takes.
 */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { access, chmod, mkdir, rename, writeFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { promisify } from "node:util";
import type { PrlctlPaths } from "../locate.ts";
import { homeVariable, pathsIn, type HostFacts } from "./home.ts";

export interface SimulatedMac {
  readonly hostName: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly user?: string;
}

/** The first call compiles; a minute is ample on a loaded computer. */
const warmUpMs = 60_000;

/** Can be repeated: the Mac and its machines stay, the commands are written anew. */
export async function installSimulator(home: string, mac: SimulatedMac): Promise<PrlctlPaths> {
  const paths = pathsIn(home);
  for (const folder of [paths.machines, paths.guests, paths.commands]) await mkdir(folder, { recursive: true });
  const facts: HostFacts = { user: "admin", ...mac, serverId: randomUUID(), hardwareId: randomUUID() };
  if (!(await exists(paths.host))) await writeAside(paths.host, `${JSON.stringify(facts, null, 2)}\n`);
  const prlctlPath = await writeLauncher(home, "prlctl");
  const prlsrvctlPath = await writeLauncher(home, "prlsrvctl");
  await writeLauncher(home, "prlcopy");
  await promisify(execFile)(prlctlPath, ["list", "-a", "-i", "--json"], { timeout: warmUpMs });
  return { prlctlPath, prlsrvctlPath };
}

async function writeLauncher(home: string, name: "prlctl" | "prlsrvctl" | "prlcopy"): Promise<string> {
  const paths = pathsIn(home);
  const script = join(import.meta.dirname, `${name}${extname(import.meta.filename)}`);
  const assignments = `${homeVariable}=${quoted(home)} NODE_COMPILE_CACHE=${quoted(paths.compiled)}`;
  const path = join(paths.commands, name);
  await writeAside(path, `#!/bin/sh\nexport ${assignments}\nexec ${quoted(process.execPath)} ${quoted(script)} "$@"\n`);
  await chmod(path, 0o755);
  return path;
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

/** A command that is called meanwhile never finds half a file. */
async function writeAside(path: string, text: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  await writeFile(aside, text, { mode: 0o755 });
  await rename(aside, path);
}
