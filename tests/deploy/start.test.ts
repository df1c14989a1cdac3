/**
 * Guarantees of the stack as people start it: quick on old data, alone on its folder and ports, gone without a trace, clear when it cannot.
 *
 * The real launcher and the real programs, on ports and in a folder of their own.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { outsideOf } from "../../deploy/embedded/postgres-place.ts";
import { holderOf } from "../../deploy/home.ts";
import { signalProcess } from "../../deploy/processes.ts";
import { reset } from "../../deploy/reset.ts";
import { living, ownPorts, root, until } from "./processes.ts";

let folder: string;
let home: string;
let ports: Record<string, string>;
const running: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "drover-start-"));
  await chmod(folder, 0o755);
  home = join(folder, "home");
  ports = await ownPorts();
});

afterEach(async () => {
  for (const child of running.splice(0)) if (child.exitCode === null) child.kill("SIGKILL");
  await until("no process left", async () => (await processes()).length === 0);
  await reset(home).catch(() => {});
  await rm(folder, { recursive: true, force: true });
});

interface Start {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly exit: Promise<number | null>;
}

/** PostgreSQL and Temporal alone; the whole product where a guarantee is about all of it. */
const parts = "tests/deploy/stack-program.ts";
const whole = "deploy/start.ts";

function start(env: Record<string, string> = {}, program = parts): Start {
  // Only these: a test runner sets variables of its own, some with names that mean something here.
  const clean = Object.fromEntries(
    ["PATH", "HOME", "XDG_CACHE_HOME", "CI"].flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])),
  );
  const args = [join(root, "deploy", "bootstrap.mjs"), program];
  const child = spawn(process.execPath, args, {
    cwd: folder,
    env: { ...clean, DROVER_HOME: home, ...ports, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.push(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (text: Buffer) => (output += text.toString()));
  const exit = new Promise<number | null>((resolve) => child.on("exit", resolve));
  return { child, output: () => output, exit };
}

async function ready(program = parts): Promise<Start> {
  const one = start({}, program);
  await until("the stack is ready", () => one.output().includes("Ready after") || one.child.exitCode !== null, 60_000);
  expect(one.output()).toContain("Ready after");
  return one;
}

const processes = async () => {
  const outside = await outsideOf(home);
  return [...(await living(home)), ...(outside === null ? [] : await living(outside))];
};

describe("a stack", () => {
  it("starts on the data of last time in under 10 s, and SIGTERM ends every child", async () => {
    const first = await ready(whole);
    expect((await processes()).length).toBeGreaterThan(1);
    first.child.kill("SIGTERM");
    expect(await first.exit).toBe(0);
    expect(await processes()).toEqual([]);

    const began = performance.now();
    const second = await ready(whole);
    // Ten seconds of a computer to itself: where others work too, each has its share of the processors.
    const share = Math.max(1, (loadavg()[0] ?? 0) / availableParallelism());
    expect((performance.now() - began) / share).toBeLessThan(10_000);
    second.child.kill("SIGINT");
    expect(await second.exit).toBe(0);
  }, 180_000);

  it("refuses a folder that another one holds, and takes it over when that one was killed", async () => {
    const first = await ready();
    const second = start(await ownPorts());
    expect(await second.exit).toBe(1);
    expect(second.output()).toMatch(/^drover: Another Drover \(process \d+\) runs on .*\n.*Ctrl-C/);

    signalProcess(Number(await holderOf(home)), "SIGKILL");
    await first.exit;
    await ready();
  }, 180_000);

  it("names a port in use, whose it would be, and the variable that moves it", async () => {
    const port = Number(ports["POSTGRES_PORT"]);
    const taken = createServer().listen(port, "127.0.0.1");
    const one = start();
    expect(await one.exit).toBe(1);
    taken.close();
    expect(one.output()).toContain(`port ${port} of PostgreSQL (change it with POSTGRES_PORT)`);
    expect(one.output()).not.toContain("    at ");
    expect(await processes()).toEqual([]);
  });

  it("leaves the data of another release alone", async () => {
    await mkdir(home);
    await writeFile(join(home, "format.json"), '{"format": 99}');
    const one = start();
    expect(await one.exit).toBe(1);
    expect(one.output()).toContain("was written by a newer release (format 99)");
  });

  it("leaves a folder alone that is not its own", async () => {
    await mkdir(home);
    await writeFile(join(home, "thesis.txt"), "do not touch");
    const one = start();
    expect(await one.exit).toBe(1);
    expect(one.output()).toContain("is not one of Drover's: it holds thesis.txt");
    await expect(reset(home)).rejects.toThrow("it was left as it is");
    expect(await readFile(join(home, "thesis.txt"), "utf8")).toBe("do not touch");
  });

  it("tells all mistakes of its variables, without a stack trace", async () => {
    const one = start({ API_PORT: "none", LOG_LEVEL: "loud" });
    expect(await one.exit).toBe(1);
    expect(one.output().trim().split("\n")).toHaveLength(4);
  });
});

describe.runIf(process.getuid?.() === 0)("as root", () => {
  it("runs below a folder of mode 700, keeps the database outside, and a reset removes both", async () => {
    await chmod(folder, 0o700);
    const one = await ready();
    const outside = await outsideOf(home);
    expect(outside).toMatch(/^\/var\/lib\/drover\/[0-9a-f]{16}$/);
    expect((await stat(join(String(outside), "postgres", "data"))).uid).not.toBe(0);
    await expect(reset(home)).rejects.toThrow("runs on");
    one.child.kill("SIGTERM");
    await one.exit;

    expect(await reset(home)).toEqual([outside, home]);
    await expect(stat(String(outside))).rejects.toThrow("ENOENT");
    await expect(stat(home)).rejects.toThrow("ENOENT");
  }, 180_000);
});
