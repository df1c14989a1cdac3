/**
 * Installs what tests need from the system, where we may: as root on Debian and its kin.
 *
 * The one idea: a package is missing when its program is; nothing is installed, updated or asked when all are there.
 */
import { access, constants, readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { lastLines, run } from "./toolchain/run.ts";

/** A slow mirror; the three packages and what they need are 60 MB. */
const installMs = 300_000;

/** Answers the programs that are missing in the end. */
export async function ensureSystemPackages(say: (line: string) => void): Promise<string[]> {
  const missing = await missingPackages();
  if (missing.length === 0) return [];
  const names = missing.map(({ name }) => name);
  if (process.getuid?.() !== 0 || (await findProgram("apt-get")) === null) {
    say(`Missing on this computer: ${names.join(", ")}. The tests that need them are skipped.`);
    return missing.map(({ program }) => program);
  }
  say(`Installing ${names.join(", ")} with apt-get ...`);
  for (const args of [["update"], ["install", "--yes", "--no-install-recommends", ...names]]) {
    const { code, output } = await run("apt-get", ["-qq", ...args], { timeoutMs: installMs });
    if (code !== 0) say(`apt-get ${args[0]} failed: ${lastLines(output)}`);
  }
  return (await missingPackages()).map(({ program }) => program);
}

/** A program on PATH or among those of the system, or `null`. */
export async function findProgram(name: string): Promise<string | null> {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"].filter((folder) => folder !== "");
  for (const folder of folders) {
    const path = join(folder, name);
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return path;
  }
  return null;
}

async function missingPackages(): Promise<Array<{ name: string; program: string }>> {
  const text = await readFile(new URL("system-packages.txt", import.meta.url), "utf8");
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const wanted = lines.map((line) => line.split(" ")).map(([name = "", program = name]) => ({ name, program }));
  const found = await Promise.all(wanted.map(({ program }) => findProgram(program)));
  return wanted.filter((_, index) => found[index] === null);
}
