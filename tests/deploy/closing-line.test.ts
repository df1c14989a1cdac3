/** Guarantees of the closing line: it counts every test, and nothing that went wrong is missing from it. */
import { spawnSync } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { closingLine } from "../closing-line.ts";
import { root } from "./processes.ts";

/** Below the project, because the files that run there import vitest; git ignores the folder. */
const folder = join(root, "coverage", `closing-line-${process.pid}`);

beforeEach(async () => {
  await mkdir(folder, { recursive: true });
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it("counts passed, failed and skipped tests, and files that cannot be loaded as failed", async () => {
  const good =
    'import { it } from "vitest"; it("a", () => {}); it("b", () => {}); it.skip("c", () => {}); it("d", () => { throw new Error("no"); });';
  await writeFile(join(folder, "good.test.ts"), good);
  await writeFile(join(folder, "broken.test.ts"), 'throw new Error("cannot be loaded");');
  await writeFile(
    join(folder, "hook.test.ts"),
    'import { beforeAll, it } from "vitest"; beforeAll(() => { throw new Error("hook"); }); it("e", () => {});',
  );
  // Its own settings: without them the project's, with their servers, would apply.
  await writeFile(join(folder, "vitest.config.mjs"), "export default {};");
  const args = ["run", "--root", folder, "--reporter", join(root, "tests", "closing-line.ts")];
  const env = { PATH: process.env["PATH"], HOME: process.env["HOME"] };
  const { stdout, status } = spawnSync(join(root, "node_modules", ".bin", "vitest"), args, { encoding: "utf8", env });
  expect(stdout.trim().split("\n").at(-1)).toBe("2 passed, 3 failed, 2 skipped");
  expect(status).toBe(1);
}, 180_000);

it("leaves out what is not there", () => {
  expect(closingLine({ passed: 3, failed: 0, skipped: 0 })).toBe("3 passed, 0 failed");
});
