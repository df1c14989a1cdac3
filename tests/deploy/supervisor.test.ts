/** Guarantees of the supervisor: children come back, end when asked, and never outlive it. */
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Child, supervise } from "../../deploy/supervisor.ts";
import { living, root, until } from "./processes.ts";

let folder: string;
const lines: string[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "drover-supervisor-"));
  lines.length = 0;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A program of ours that writes its id and lives until it is asked to end. */
async function lasting(name = "child"): Promise<Child> {
  const file = join(folder, `${name}.mjs`);
  const lifeline = join(root, "deploy", "lifeline.ts");
  const program = `import { writeFileSync } from "node:fs";
    await import(${JSON.stringify(lifeline)});
    process.on("SIGTERM", () => { writeFileSync(${JSON.stringify(join(folder, `${name}.ended`))}, "well"); process.exit(0); });
    setInterval(() => {}, 1000);
    console.log("up");
    writeFileSync(${JSON.stringify(join(folder, `${name}.pid`))}, String(process.pid));`;
  await writeFile(file, program);
  const pidFile = join(folder, `${name}.pid`);
  const ready = async () => existsSync(pidFile);
  return { name, command: process.execPath, args: [file], ready, before: () => rm(pidFile, { force: true }) };
}

const supervision = () => ({ logFolder: join(folder, "logs"), onLine: (line: string) => void lines.push(line) });

describe("a supervised child", () => {
  it("is started again when it is killed", async () => {
    const child = supervise(await lasting(), supervision());
    await child.ready;
    const first = child.pid();
    process.kill(Number(first), "SIGKILL");
    await until("another life", () => child.pid() !== null && child.pid() !== first);
    expect(lines.join()).toContain("child: ended (SIGKILL); starting it again in 0.5 s");
    await child.stop();
    expect(await living(folder)).toEqual([]);
  });

  it("is asked to end before it is ended", async () => {
    const child = supervise(await lasting(), supervision());
    await child.ready;
    await child.stop();
    expect(readFileSync(join(folder, "child.ended"), "utf8")).toBe("well");
    expect(readFileSync(join(folder, "logs", "child.log"), "utf8")).toBe("up\n");
  });

  it("that cannot start is given up with its last words", async () => {
    const broken: Child = {
      name: "broken",
      command: "/bin/sh",
      args: ["-c", "echo the licence is missing; exit 3"],
      ready: async () => false,
    };
    const child = supervise(broken, supervision());
    await expect(child.ready).rejects.toMatchObject({
      fault: { code: "part_failed", message: expect.stringContaining("broken does not start (exit code 3): ") },
    });
    await expect(child.ready).rejects.toThrow("the licence is missing");
    await child.stop();
  });
});

describe("a supervisor that is killed with -9", () => {
  it("takes its own programs and those of others with it", async () => {
    const own = await lasting("own");
    const program = join(folder, "supervisor.mjs");
    const text = `import { supervise } from ${JSON.stringify(join(root, "deploy", "supervisor.ts"))};
      const watch = { logFolder: ${JSON.stringify(join(folder, "logs"))}, onLine: () => {} };
      const own = supervise({ name: "own", command: process.execPath, args: ${JSON.stringify(own.args)}, ready: async () => true }, watch);
      const foreign = supervise({ name: "foreign", command: "/bin/sleep", args: ["987654"], cwd: ${JSON.stringify(folder)}, guardedBy: "SIGTERM", ready: async () => true }, watch);
      await Promise.all([own.ready, foreign.ready]);
      setInterval(() => foreign.pid() && console.log(foreign.pid()), 50);`;
    await writeFile(program, text);
    const supervisor = spawn(process.execPath, [program], { stdio: ["ignore", "pipe", "inherit"] });
    const foreign = await new Promise<string>((resolve) =>
      supervisor.stdout.once("data", (chunk: Buffer) => resolve(chunk.toString().trim())),
    );
    await until("the child of our own", own.ready);
    supervisor.kill("SIGKILL");
    await until("no process left", async () => (await living(folder)).length === 0 && (await living("sleep 987654")).length === 0, 5000);
    expect(Number(foreign)).toBeGreaterThan(0);
  });
});
