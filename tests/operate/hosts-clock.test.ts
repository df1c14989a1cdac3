/**
 * Hosts whose clock is an hour off, ahead and behind (Debian's `faketime` in the host process): they work by the hub's time, and everybody is told.
 *
 * The one idea: the clock is read from a file, so that it can be set while the host runs, as an operator sets it.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { glob, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pathOf } from "../../cli/client.ts";
import { Host } from "../../cli/wire.ts";
import { openStack, ownServers, type TestStack } from "../e2e/stack.ts";
import { sampleIn } from "../e2e/faults.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

const section = "The clock of a host is off";
const program = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
/** What the command `faketime` puts before a program. */
const [library = null] = await Array.fromAsync(glob("/usr/lib/*/faketime/libfaketime.so.1"));
/** A second process of faked time costs a loaded computer ten seconds. */
const onlineWithinMs = 60_000;

let stack: TestStack;
let terminal: Terminal;
const running: ChildProcess[] = [];

describe.skipIf(library === null)("a host whose clock is an hour off (needs faketime)", () => {
  beforeAll(async () => {
    stack = await openStack({ ...(await ownServers()), DROVER_HOSTS: "0" });
    terminal = await openTerminal(stack);
  }, 180_000);
  afterAll(async () => {
    for (const child of running.filter(({ exitCode }) => exitCode === null)) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
    await stack?.close();
  }, 180_000);

  it("enrols, pushes, pulls, makes a machine and runs a command in it like any other, and says how far it is off until it is set", async () => {
    const [ahead, behind] = await Promise.all([begin("mac-ahead", "+3600"), begin("mac-behind", "-3600")]);
    const bundle = await sampleIn(stack, join("by-hand", "mac-ahead", "simulator", "Parallels"), "base", 8);
    await stack.json("push", bundle, "base", "--version", "1", "--host", "mac-ahead");
    await Promise.all(
      ["mac-ahead", "mac-behind"].map(async (host) => {
        await stack.json("machine", "create", `on-${host}`, "--image", "base:1", "--cpus", "1", "--memory", "512M", "--host", host);
        expect(await stack.drover("machine", "exec", `on-${host}`, "--", "echo works")).toMatchObject({ code: 0, stdout: "works\n" });
        await stack.json("machine", "delete", `on-${host}`, "--force");
      }),
    );
    expect([await offsetOf("mac-ahead"), await offsetOf("mac-behind")].map((seconds) => Math.round((seconds ?? 0) / 10))).toEqual([
      360, -360,
    ]);
    await terminal.type(section, "drover host show mac-ahead | grep -E '^(state|clock)'");
    await terminal.type(section, "drover host show mac-behind | grep -E '^(state|clock)'");
    await terminal.type(section, `drover doctor | grep -A1 "hosts' clocks"`);

    // Set by an hour at once, forth and back, while the host runs.
    await Promise.all([ahead.set("+0"), behind.set("+0")]);
    for (const host of ["mac-ahead", "mac-behind"])
      await expect.poll(() => offsetOf(host).then(Math.abs), { timeout: 60_000 }).toBeLessThan(3);
    await terminal.type(section, `drover doctor | grep "hosts' clocks"`);
    const states = await stack.client.list("/hosts", Host);
    expect(states.map(({ name, state }) => [name, state])).toEqual([
      ["mac-ahead", "online"],
      ["mac-behind", "online"],
    ]);
    await stack.json("pull", "base:1", "--host", "mac-behind");
  }, 240_000);
});

const offsetOf = async (host: string): Promise<number> =>
  ((await stack.client.get(pathOf("hosts", host), Host)).facts?.clockOffsetMs ?? Number.NaN) / 1000;

/** A host of its own, enrolled and run by hand as on a Mac, in a process for which it is another time. */
async function begin(name: string, offset: string): Promise<{ set(offset: string): Promise<void> }> {
  const home = join(stack.home, "by-hand", name);
  const clock = join(stack.home, `${name}.clock`);
  const set = (to: string) => writeFile(clock, `${to}\n`);
  await set(offset);
  const env = {
    PATH: process.env["PATH"],
    HOME: process.env["HOME"],
    NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"],
    DROVER_HOME: home,
    DROVER_SIMULATE: "true",
    CATALOG_CACHE_KEEP_FREE_DISK_SPACE: "0",
    LD_PRELOAD: library ?? "",
    FAKETIME_TIMESTAMP_FILE: clock,
    FAKETIME_CACHE_DURATION: "1",
    // Waits that were begun end by the clock that nobody sets.
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  };
  const { token, url } = await stack.json<{ token: string; url: string }>("host", "token", name);
  await promisify(execFile)(process.execPath, [program, "host", "enrol", url, token], { env });
  running.push(spawn(process.execPath, [program, "run", "host"], { env, stdio: "ignore" }));
  const state = () => stack.client.get(pathOf("hosts", name), Host).then((host) => host.state);
  await expect.poll(state, { timeout: onlineWithinMs }).toBe("online");
  return { set };
}
