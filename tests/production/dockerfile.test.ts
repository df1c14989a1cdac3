/** What the images promise, checked without a container engine: pinned, small, not root, and complete for the programs that they start. */
import { readFile } from "node:fs/promises";
import { builtinModules } from "node:module";
import { dirname, join, normalize } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import about from "../../package.json" with { type: "json" };
import { root } from "./compose.ts";
import { buildContext, readStages, stepsOf, type Stage } from "./dockerfile.ts";

const targets = ["hub", "gateway", "api"];
let stages: Stage[];
let context: Set<string>;
beforeAll(async () => {
  stages = await readStages();
  context = new Set(await buildContext());
});

describe("the images", () => {
  it("stand on one base of an exact version, with the Node that the tests run", () => {
    const bases = stages.map(({ base }) => base).filter((base) => stages.every(({ name }) => name !== base));
    expect([...new Set(bases)]).toEqual([`node:${about.dependencies.node}-bookworm-slim`]);
  });

  it("are built in stages of which only the last is kept, and run as a user without rights over their own files", () => {
    for (const target of targets) {
      const steps = stepsOf(stages, target);
      expect(steps.filter(({ word }) => word === "COPY")).toEqual([{ word: "COPY", text: "--from=built /drover ./" }]);
      expect(steps.findLast(({ word }) => word === "USER")?.text).toBe("node");
      expect(steps.slice(steps.findIndex(({ word }) => word === "USER")).map(({ word }) => word)).not.toContain("RUN");
    }
  });

  it("hold no tests, no state, no secrets and nothing of the developers' tools", () => {
    const stray = [...context].filter((path) =>
      /\.test\.|^tests\/|^bench\/|^docs\/|^\.|secrets|\.env|^coverage|tsconfig|drizzle\.config/.test(path),
    );
    expect(stray.filter((path) => !path.startsWith("security/"))).toEqual([]);
    expect(stepsOf(stages, "packages").some(({ text }) => /^npm ci --omit=dev --ignore-scripts\b/.test(text))).toBe(true);
  });

  it.each(targets)("hold every file and package that the %s needs", async (target) => {
    const programs = stepsOf(stages, target).flatMap(({ word, text }) =>
      ["CMD", "HEALTHCHECK"].includes(word) ? [...text.matchAll(/"([\w/.]+\.ts)"/g)].map(([, path = ""]) => path) : [],
    );
    expect(programs).toHaveLength(2);
    const reached = await reach([...programs, "cli/main.ts", "deploy/build.ts", "workflows/index.ts"]);
    expect(reached.files.filter((path) => !context.has(path))).toEqual([]);
    expect(reached.packages.filter((name) => !(name in about.dependencies))).toEqual([]);
  });
});

/** Every file that is imported, directly or not, and every package: types leave no trace at run time and are not followed. */
async function reach(entries: readonly string[]): Promise<{ files: string[]; packages: string[] }> {
  const [files, packages] = [new Set<string>(), new Set<string>()];
  const due = [...entries];
  for (let path = due.pop(); path !== undefined; path = due.pop()) {
    if (files.has(path)) continue;
    files.add(path);
    if (!/\.(ts|mjs)$/.test(path)) continue;
    for (const name of importsOf(await readFile(join(root, path), "utf8"))) {
      if (name.startsWith(".")) due.push(normalize(join(dirname(path), name)));
      else if (!name.startsWith("node:") && !builtinModules.includes(name))
        packages.add(
          name
            .split("/")
            .slice(0, name.startsWith("@") ? 2 : 1)
            .join("/"),
        );
    }
  }
  return { files: [...files], packages: [...packages] };
}

const importsOf = (source: string): string[] =>
  [...source.matchAll(/^(?:import|export)\b(?! type\b)[^;]*?from "([^"]+)"|^import "([^"]+)"|\bimport\("([^"]+)"\)/gm)].map(
    ([, one, two, three]) => one ?? two ?? three ?? "",
  );
