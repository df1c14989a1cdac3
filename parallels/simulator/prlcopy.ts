/**
 * The simulated `prlcopy`: `prlcopy --vm VM LOCAL [REMOTE]` puts a file or folder into a guest.
 *
 * The one idea: it goes the way of `exec`, through Parallels Tools, so it fails for the same reasons. A guest's files lie below the machine's own folder.
 */
import { cp, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { failure } from "./failure.ts";
import type { Command } from "./command.ts";
import { openGuest } from "./guest.ts";
import { pathsIn } from "./home.ts";
import { runCommand } from "./main.ts";

const usage = "Usage: prlcopy --vm <ID | NAME> <local path> [guest path]";

async function copy(command: Command): Promise<void> {
  const [handle, local, remote] = command.argv;
  if (local === undefined) throw failure(usage, 1);
  const machine = openGuest(command, handle);
  if (!(await stat(local).catch(() => null))) throw failure(`Unable to copy ${local}: No such file or directory.`);
  const folder = join(pathsIn(command.home).guests, machine.id);
  const to = join(folder, resolve("/", remote ?? basename(local)));
  await cp(local, to, { recursive: true, force: true });
}

await runCommand(process.argv.slice(2), { "--vm": async () => copy }, usage);
