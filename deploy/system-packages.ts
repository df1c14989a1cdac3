/**
 * Installs what tests need from the system, where we may: as root on Debian and its kin.
 *
 * The one idea: the list is a plain file that other tools can read too; elsewhere each test looks for its program and is skipped by name.
 */
import { readFile } from "node:fs/promises";
import { lastLines, run } from "./toolchain/run.ts";

/** The package database answers at once. */
const askMs = 20_000;
/** A slow mirror; the packages and what they need are 60 MB. */
const installMs = 300_000;

export async function ensureSystemPackages(say: (line: string) => void): Promise<void> {
  const names = (await readFile(new URL("system-packages.txt", import.meta.url), "utf8")).split("\n").filter((name) => name !== "");
  const states = await Promise.all(names.map((name) => run("dpkg-query", ["-W", "-f=${Status}", name], { timeoutMs: askMs })));
  // Not Debian: what the tests need may still be there under other names.
  if (states.some(({ missing }) => missing)) return;
  const wanted = names.filter((_, index) => !states[index]?.output.includes("install ok installed"));
  if (wanted.length === 0) return;
  if (process.getuid?.() !== 0) return say(`Not installed, as only root may: ${wanted.join(", ")}. The tests that need them are skipped.`);
  say(`Installing ${wanted.join(", ")} with apt-get ...`);
  for (const args of [["update"], ["install", "--yes", "--no-install-recommends", ...wanted]]) {
    const { code, output } = await run("apt-get", ["-qq", ...args], { timeoutMs: installMs });
    if (code !== 0) say(`apt-get ${args[0]} failed: ${lastLines(output)}`);
  }
}
