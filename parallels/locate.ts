/**
 * Finds executables, Parallels Desktop's above all, without asking a shell.
 *
 * The one idea: the given path wins and is never silently replaced; then PATH, then the places where installers put them.
 */
import { access, constants, stat } from "node:fs/promises";
import { basename, delimiter, dirname, isAbsolute, join } from "node:path";

export interface PrlctlPaths {
  readonly prlctlPath: string;
  readonly prlsrvctlPath: string;
}

/** Where Parallels Desktop puts its commands; a daemon's PATH often lacks the first. */
const parallelsFolders = ["/usr/local/bin", "/usr/bin"];

/** `null`: there is no Parallels Desktop here, or not where `given` says. Both commands lie in one folder. */
export async function locatePrlctl({ given, path }: { given?: string | undefined; path: string }): Promise<PrlctlPaths | null> {
  const prlctlPath = given === undefined ? await findExecutable("prlctl", path, parallelsFolders) : await executableAt(given);
  if (prlctlPath === null) return null;
  const prlsrvctlPath = await executableAt(join(dirname(prlctlPath), basename(prlctlPath).replace("prlctl", "prlsrvctl")));
  return prlsrvctlPath === null ? null : { prlctlPath, prlsrvctlPath };
}

export async function findExecutable(name: string, path: string, furtherFolders: readonly string[] = []): Promise<string | null> {
  for (const folder of [...path.split(delimiter).filter(isAbsolute), ...furtherFolders]) {
    const found = await executableAt(join(folder, name));
    if (found !== null) return found;
  }
  return null;
}

async function executableAt(path: string): Promise<string | null> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile() ? path : null;
  } catch {
    return null;
  }
}
