/** The Dockerfile as a list of stages, and what `.dockerignore` lets a build see. No container engine reads them here, so the tests do. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join, matchesGlob } from "node:path";
import { promisify } from "node:util";
import { root } from "./compose.ts";

export interface Stage {
  readonly name: string;
  readonly base: string;
  readonly steps: ReadonlyArray<{ readonly word: string; readonly text: string }>;
}

export async function readStages(): Promise<Stage[]> {
  const text = await readFile(join(root, "deploy/Dockerfile"), "utf8");
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const stages: Array<{ name: string; base: string; steps: Array<{ word: string; text: string }> }> = [];
  for (const line of lines) {
    const [word = "", ...rest] = line.split(" ");
    if (word === "FROM") stages.push({ base: rest[0] ?? "", name: rest[2] ?? "", steps: [] });
    else stages.at(-1)?.steps.push({ word, text: rest.join(" ") });
  }
  return stages;
}

/** A stage with all that it stands on, first things first. */
export function stepsOf(stages: readonly Stage[], name: string): Stage["steps"] {
  const stage = stages.find((one) => one.name === name);
  return stage === undefined ? [] : [...stepsOf(stages, stage.base), ...stage.steps];
}

/** The files of the repository that a build can copy, as `.dockerignore` says: the last pattern that fits decides. */
export async function buildContext(): Promise<string[]> {
  const patterns = (await readFile(join(root, ".dockerignore"), "utf8")).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const { stdout } = await promisify(execFile)("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root });
  return stdout.split("\0").filter((path) => path !== "" && !isIgnored(path, patterns));
}

function isIgnored(path: string, patterns: readonly string[]): boolean {
  // Docker's star takes names that begin with a dot, too.
  const fits = (pattern: string) => pattern === "*" || matchesGlob(path, pattern) || matchesGlob(path, `${pattern}/**`);
  const last = patterns.findLast((pattern) => fits(pattern.replace(/^!/, "")));
  return last !== undefined && !last.startsWith("!");
}
