/** Guarantees of the launcher: the program's answer is its own, and what a computer lacks is one clear line. */
import { spawn, spawnSync } from "node:child_process";
import { copyFile, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { living, root, until } from "./processes.ts";

let checkout: string;

/** A checkout of nothing but the launcher, with the project's own Node as if it were installed. */
beforeEach(async () => {
  checkout = await mkdtemp(join(tmpdir(), "drover-bootstrap-"));
  await mkdir(join(checkout, "deploy"));
  await mkdir(join(checkout, "node_modules"));
  await copyFile(join(root, "deploy", "bootstrap.mjs"), join(checkout, "deploy", "bootstrap.mjs"));
  for (const name of ["tsconfig.json", "package-lock.json", "node_modules/.package-lock.json"]) await writeFile(join(checkout, name), "{}");
  await writeFile(join(checkout, "package.json"), '{ "name": "drover" }');
  await symlink(join(root, "node_modules", "node"), join(checkout, "node_modules", "node"));
});
afterEach(() => rm(checkout, { recursive: true, force: true }));

const program = (text: string) => writeFile(join(checkout, "deploy", "program.ts"), text);
const args = () => [join(checkout, "deploy", "bootstrap.mjs"), "deploy/program.ts", "one", "two words"];
const enter = (env: Record<string, string> = {}) =>
  spawnSync(process.execPath, args(), { encoding: "utf8", cwd: "/", env: { PATH: "", ...env } });

describe("the launcher", () => {
  it("hands over arguments and answers with the program's exit code, from any folder", async () => {
    await program("const words: string[] = process.argv.slice(2); console.log(words.join('|')); process.exit(7);");
    expect(enter()).toMatchObject({ status: 7, stdout: "one|two words\n", stderr: "" });
  });

  it("passes the request to end, and waits for the program to do so", async () => {
    await program("process.on('SIGTERM', () => setTimeout(() => process.exit(5), 200)); setInterval(() => {}, 1000); console.log('up');");
    const child = spawn(process.execPath, args(), { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    child.kill("SIGTERM");
    expect(await new Promise((resolve) => child.on("exit", resolve))).toBe(5);
  });

  it("ends the program when the one that called it is gone, as npm is after SIGTERM", async () => {
    await program("setInterval(() => {}, 1000); console.log('up');");
    const caller = spawn("/bin/sh", ["-c", '"$@" & wait', "sh", process.execPath, ...args()], { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve) => caller.stdout.once("data", resolve));
    caller.kill("SIGKILL");
    await until("no process left", async () => (await living(checkout)).length === 0, 5000);
  });

  it("names npm when packages are missing and npm is, too", async () => {
    await program("");
    await utimes(join(checkout, "node_modules", ".package-lock.json"), 0, 0);
    const { status, stderr } = enter();
    expect(status).toBe(1);
    expect(stderr).toContain("drover: npm is not on PATH. Install Node.js with npm");
  });

  it("shows what npm said when packages cannot be installed, and what to do about a full disk", async () => {
    await program("");
    await utimes(join(checkout, "node_modules", ".package-lock.json"), 0, 0);
    const bin = join(checkout, "bin");
    await mkdir(bin);
    await writeFile(join(bin, "npm"), "#!/bin/sh\necho 'npm error network is down' >&2; exit 1\n", { mode: 0o755 });
    expect(enter({ PATH: bin }).stderr).toContain("Installing packages failed (npm ci): exit code 1\nnpm error network is down");
    await writeFile(join(bin, "npm"), "#!/bin/sh\necho 'npm error ENOSPC: no space left on device' >&2; exit 1\n", { mode: 0o755 });
    expect(enter({ PATH: bin }).stderr).toMatch(/drover: The disk is full: free about 1 GB/);
  });
});
