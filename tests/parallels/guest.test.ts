/** Commands in a guest: what travels how, whose exit code it is, and what a session that never was looks like. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { FaultError } from "../../domain/errors.ts";
import { eventually, simulatedMac, startAndWait, type Mac } from "./mac.ts";

// A call takes 40 ms, and twenty times that on a computer with much else to do.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let mac: Mac;
let id: string;
let macosId: string;
const quick = { startMs: 0, addressMs: 0, toolsMs: 0, stopMs: 0, resumeMs: 0, suspendMs: 0 };
beforeAll(async () => {
  mac = await simulatedMac();
  mac.control({ times: quick });
  id = await mac.machine("guest");
  macosId = await mac.machine("mac guest", "macvm");
  await startAndWait(mac.prlctl, id);
  await startAndWait(mac.prlctl, macosId);
});
afterAll(() => mac.remove());
beforeEach(() => mac.control({ times: quick, faults: [], toolsNeverUp: false }));

const code = (promise: Promise<unknown>) =>
  promise.then(
    () => "no fault",
    (error: unknown) => (error instanceof FaultError ? error.fault.code : error),
  );

describe("a script in a guest", () => {
  it("runs with its environment and nothing else, and answers the guest's own exit code", async () => {
    const environment = { SECRET: `it's $HOME "quoted"\nand more` };
    const script = `printf '%s' "$SECRET"; echo; env | cut -d= -f1 | sort | tr '\\n' ' '; echo oops >&2; exit 42`;
    const executed = await mac.prlctl.exec(id, { script, environment });
    expect(executed).toMatchObject({ exitCode: 42, stderr: "oops\n" });
    expect(executed.stdout.startsWith(`${environment.SECRET}\n`)).toBe(true);
    expect(executed.stdout).not.toContain("PATH ");
  });

  it.each([
    ["ends without exit", "true", 0],
    ["ends in a failing command", "false", 1],
    ["has quotes, backslashes and a document of its own", "cat <<'END' | grep -c \"it's\"\nit's\nEND", 0],
    ["reads its input, which is empty", "cat; wc -c | grep -q '^ *0$'", 0],
    ["is no valid shell", "if then (", 2],
    ["looks like prlctl's own failure", "echo 'Unable to open new session in this virtual machine.'; exit 255", 255],
  ])("that %s gives its own exit code", async (_, script, exitCode) => {
    expect((await mac.prlctl.exec(id, { script })).exitCode).toBe(exitCode);
  });

  it("may be larger than any command line, and streams all its output while keeping the first part", async () => {
    const script = `# ${"x".repeat(200_000)}\ni=0; while [ $i -lt 3000 ]; do echo "line $i ${"y".repeat(60)}"; i=$((i+1)); done`;
    let streamed = 0;
    const executed = await mac.prlctl.exec(id, { script, onStdout: (bytes) => void (streamed += bytes.length) });
    expect(executed.exitCode).toBe(0);
    expect(streamed).toBeGreaterThan(200_000);
    expect(executed.stdout).toHaveLength(64 * 1024);
  });

  it("never shows script or environment on a command line", async () => {
    const giveUp = new AbortController();
    const running = mac.prlctl.exec(id, { script: "sleep 61", environment: { TOKEN: "s3cr3t" } }, { signal: giveUp.signal });
    const processes = await eventually(async () => {
      const lines = execFileSync("ps", ["-eo", "args"], { encoding: "utf8" });
      return lines.includes("sleep 61") && lines;
    });
    expect(processes).not.toContain("s3cr3t");
    giveUp.abort(new Error("given up"));
    await expect(running).rejects.toThrow("given up");
  });

  it("does not keep its caller waiting for a daemon that it left behind", async () => {
    const startedMs = performance.now();
    expect(await mac.prlctl.exec(id, { script: "(sleep 60) & echo started" })).toMatchObject({ exitCode: 0, stdout: "started\n" });
    expect(performance.now() - startedMs).toBeLessThan(30_000);
  });
});

describe("a probe", () => {
  it("answers as guests do", async () => {
    const probe = async (machine: string, ...command: string[]) => {
      const { exitCode, stdout } = await mac.prlctl.exec(machine, { command });
      return [exitCode, stdout.trim()];
    };
    expect(await probe(id, "uname", "-s")).toEqual([0, "Linux"]);
    expect(await probe(macosId, "uname")).toEqual([0, "Darwin"]);
    expect(await probe(id, "hostname")).toEqual([0, "guest"]);
    expect(await probe(macosId, "sw_vers", "-productVersion")).toEqual([0, "15.2"]);
    expect(await probe(macosId, "ipconfig", "getifaddr", "en0")).toEqual([0, expect.stringMatching(/^10\.211\.55\.\d+$/)]);
    expect(await probe(id, "echo", "hello")).toEqual([0, "hello"]);
    expect(await probe(id, "ifconfig")).toEqual([127, ""]);
  });

  it("is refused before it could hang prlctl or be split anew in the guest", async () => {
    expect(await code(mac.prlctl.exec(id, { command: ["echo", "x".repeat(5000)] }))).toBe("argument_refused");
    expect(await code(mac.prlctl.exec(id, { command: ["echo", "two words"] }))).toBe("argument_refused");
    expect(await code(mac.prlctl.exec(id, { script: "true", environment: { "A B": "" } }))).toBe("argument_refused");
    expect(await code(mac.prlctl.exec(id, { script: "a\0b" }))).toBe("argument_refused");
  });
});

describe("a session that never was", () => {
  it("is told from the guest's own failures", async () => {
    mac.control({ toolsNeverUp: ["guest"] });
    expect(await code(mac.prlctl.exec(id, { command: ["true"] }))).toBe("tools_unavailable");
    expect(await code(mac.prlctl.exec(macosId, { command: ["true"] }))).toBe("no fault");
    const stopped = await mac.machine("stopped");
    expect(await code(mac.prlctl.exec(stopped, { command: ["true"] }))).toBe("machine_state");
    expect(await code(mac.prlctl.exec("nobody", { command: ["true"] }))).toBe("machine_not_found");
  });

  it("is an unknown outcome when prlctl lost the exit code after the command ran", async () => {
    mac.control({ faults: [{ verb: "exec", kind: "lost-exit-code", times: 1 }] });
    expect(await code(mac.prlctl.exec(id, { script: "echo ran; echo noise >&2" }))).toBe("outcome_unknown");
  });

  it("is refused as busy beyond two at once", async () => {
    let inside = 0;
    const script = "echo in; while [ ! -e go ]; do sleep 0.05; done";
    const session = () => mac.prlctl.exec(id, { script, onStdout: () => void (inside += 1) });
    const sessions = [session(), session()];
    await eventually(async () => inside === 2);
    expect(await code(session())).toBe("prlctl_busy");
    await writeFile(join(mac.home, "guests", id, "go"), "");
    expect((await Promise.all(sessions)).map(({ exitCode }) => exitCode)).toEqual([0, 0]);
  });
});

describe("the simulated prlctl itself", () => {
  it("hangs on a long command line and takes no notice of SIGTERM", async () => {
    const child = spawn(mac.prlctl.paths.prlctlPath, ["exec", id, "echo", "x".repeat(4000)]);
    await eventually(async () => existsSync(join(mac.home, "hanging", String(child.pid))));
    child.kill("SIGTERM");
    const ended = once(child, "exit");
    expect(await Promise.race([ended, sleep(300, "still there")])).toBe("still there");
    child.kill("SIGKILL");
    await ended;
  });

  it("loses a non-zero exit code when standard input is closed too early", () => {
    expect(() => execFileSync(mac.prlctl.paths.prlctlPath, ["exec", id, "/bin/sh", "-s"], { input: "exit 7\n" })).not.toThrow();
  });
});

describe("a file for a guest", () => {
  it("comes to where it is to come, again and again, folders whole", async () => {
    const file = join(mac.home, "sent.txt");
    for (const text of ["one", "two"]) {
      await writeFile(file, text);
      await mac.prlctl.copyIn(id, { from: file, to: "/in/sent.txt" });
      expect((await mac.prlctl.exec(id, { script: "cat in/sent.txt" })).stdout).toBe(text);
    }
    await mac.prlctl.copyIn(id, { from: join(mac.home, "bin"), to: "tools" });
    expect((await mac.prlctl.exec(id, { script: "ls tools" })).stdout).toContain("prlctl");
  });

  it("is refused for the same reasons as a session", async () => {
    const file = join(mac.home, "host.json");
    const stopped = await mac.machine("stopped guest");
    expect(await code(mac.prlctl.copyIn(stopped, { from: file, to: "/x" }))).toBe("machine_state");
    expect(await code(mac.prlctl.copyIn("no such machine", { from: file, to: "/x" }))).toBe("machine_not_found");
    expect(await code(mac.prlctl.copyIn(id, { from: "relative", to: "/x" }))).toBe("argument_refused");
    expect(await code(mac.prlctl.copyIn(id, { from: file, to: "--vm" }))).toBe("argument_refused");
    mac.control({ toolsNeverUp: true });
    expect(await code(mac.prlctl.copyIn(macosId, { from: file, to: "/x" }))).toBe("tools_unavailable");
  });
});
