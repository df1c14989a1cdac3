/** The simulator's states and concurrency: the table of what works in which state, and a registry that survives crowds and kills. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { run } from "../../parallels/run.ts";
import { eventually, simulatedMac, stateOf, type Mac } from "./mac.ts";

// A call takes 40 ms, and twenty times that on a computer with much else to do.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let mac: Mac;
const quick = { startMs: 0, addressMs: 0, toolsMs: 0, stopMs: 0, resumeMs: 0, suspendMs: 0, resumedToolsMs: 0 };
beforeAll(async () => void (mac = await simulatedMac()));
afterAll(() => mac.remove());
beforeEach(() => mac.control({ times: quick, faults: [], cloneBytesPerSecond: null, startOnSuspended: "error" }));

const prlctl = (...argv: string[]) => run(mac.prlctl.paths.prlctlPath, argv, { timeoutMs: 30_000 });
const bring: Record<string, string[][]> = {
  stopped: [],
  running: [["start"]],
  paused: [["start"], ["pause"]],
  suspended: [["start"], ["suspend"]],
};

describe("what works in which state", () => {
  const error = "error";
  /** The state after each verb, or that it is an error and the state stays. */
  const table: Record<string, Record<string, string>> = {
    stopped: {
      start: "running",
      stop: error,
      "stop --kill": error,
      restart: error,
      reset: error,
      suspend: error,
      resume: error,
      pause: error,
      "set --cpus 3": "stopped",
      unregister: "gone",
    },
    running: {
      start: error,
      stop: "stopped",
      "stop --kill": "stopped",
      restart: "running",
      reset: "running",
      suspend: "suspended",
      resume: error,
      pause: "paused",
      delete: error,
      unregister: error,
      "clone --name x": error,
      "set --cpus 3": error,
      "set --description d": "running",
    },
    paused: {
      start: error,
      stop: error,
      "stop --kill": "stopped",
      restart: error,
      reset: "running",
      suspend: "suspended",
      resume: "running",
      pause: error,
      delete: error,
      unregister: error,
      "clone --name x": error,
      "set --cpus 3": error,
    },
    suspended: {
      start: error,
      stop: error,
      "stop --kill": error,
      "stop --drop-state": "stopped",
      restart: error,
      reset: error,
      suspend: error,
      resume: "running",
      pause: error,
      delete: "gone",
    },
  };

  /** What one verb does to the machine, and the state it ends in. */
  async function tried(id: string, verb: string): Promise<[outcome: string, state: string]> {
    const [action = "", ...options] = verb.split(" ");
    const { stderr } = await prlctl(action, id, ...options);
    return [stderr === "" ? "works" : error, (await stateOf(mac.prlctl, id)) ?? "gone"];
  }
  async function machineIn(state: string, name: string): Promise<string> {
    const id = await mac.machine(name);
    for (const [action = ""] of bring[state] ?? []) await prlctl(action, id);
    expect(await stateOf(mac.prlctl, id)).toBe(state);
    return id;
  }

  it.each(Object.entries(table))(
    "%s",
    async (state, verbs) => {
      const refused = await machineIn(state, `${state}, refused`);
      for (const [verb, outcome] of Object.entries(verbs)) {
        if (outcome === error) expect([verb, ...(await tried(refused, verb))]).toEqual([verb, error, state]);
        else expect([verb, ...(await tried(await machineIn(state, `${state}, ${verb}`), verb))]).toEqual([verb, "works", outcome]);
      }
    },
    180_000,
  );

  it("answers 255 for most errors, 1 for wrong usage, and says progress on stdout and errors on stderr", async () => {
    const id = await mac.machine("codes");
    await prlctl("start", id);
    expect(await prlctl("start", id)).toMatchObject({
      exitCode: 255,
      stdout: "Starting the VM...\n",
      stderr: expect.stringMatching(/^Failed to start the VM: .*already started/),
    });
    expect(await prlctl("list", "nobody")).toMatchObject({
      exitCode: 255,
      stdout: "",
      stderr: expect.stringMatching(/^Failed to get VM config: The virtual machine could not be found\./),
    });
    expect(await prlctl("clone", id)).toMatchObject({ exitCode: 1 });
    expect(await prlctl("dance", id)).toMatchObject({
      exitCode: 1,
      stderr: "Unknown action: dance\n",
      stdout: expect.stringContaining("Usage"),
    });
    expect(await prlctl("list", "-o", "nonsense")).toMatchObject({ exitCode: 1 });
    expect(await prlctl("stop", id, "--kill")).toMatchObject({
      exitCode: 0,
      stdout: "Stopping the VM...\nThe VM has been forcibly stopped\n",
    });
    expect(await prlctl("set", id, "--cpus", "4")).toMatchObject({
      exitCode: 0,
      stdout: "set cpus(8): 4\n\nThe VM has been successfully configured.\n",
    });
  });

  it("passes through the transient states in their time, and no killed command stops a boot", async () => {
    const id = await mac.machine("slow boot");
    mac.control({ times: { startMs: 1500, addressMs: 100, toolsMs: 600_000, stopMs: 1500 } });
    await mac.prlctl.start(id);
    expect(await stateOf(mac.prlctl, id)).toBe("starting");
    await eventually(async () => (await mac.prlctl.list()).find((machine) => machine.id === id)?.address);
    expect((await mac.prlctl.find(id))?.tools.state).toBe("possibly_installed");
    mac.control({ times: { toolsMs: 0 } });
    expect((await mac.prlctl.find(id))?.tools.state).toBe("installed");

    const giveUp = new AbortController();
    const stopping = mac.prlctl.stop(id, { mode: "graceful" }, { signal: giveUp.signal });
    await eventually(async () => (await stateOf(mac.prlctl, id)) === "stopping");
    giveUp.abort(new Error("given up"));
    await expect(stopping).rejects.toThrow("given up");
    await eventually(async () => (await stateOf(mac.prlctl, id)) === "stopped");
  });

  it("stops a third macOS machine again without saying so", async () => {
    mac.control({ times: { stopMs: 1500 } });
    const ids = [await mac.machine("mac 1", "macvm"), await mac.machine("mac 2", "macvm"), await mac.machine("mac 3", "macvm")] as const;
    for (const id of ids) await mac.prlctl.start(id);
    expect(await stateOf(mac.prlctl, ids[2])).toBe("stopping");
    await eventually(async () => (await stateOf(mac.prlctl, ids[2])) === "stopped");
    expect([await stateOf(mac.prlctl, ids[0]), await stateOf(mac.prlctl, ids[1])]).toEqual(["running", "running"]);
    await mac.prlctl.stop(ids[0], { mode: "kill" });
    await mac.prlctl.start(ids[2]);
    await eventually(async () => (await stateOf(mac.prlctl, ids[2])) === "running");
    for (const id of [ids[1], ids[2]]) await mac.prlctl.stop(id, { mode: "kill" });
  });

  it("shows a linked clone of a macOS machine as running and never boots its guest", async () => {
    await mac.machine("mac source", "macvm");
    const { id } = await mac.prlctl.clone("mac source", { name: "mac linked", linked: true });
    await mac.prlctl.start(id);
    expect(await mac.prlctl.find(id)).toMatchObject({ state: "running", tools: { state: "not_installed" }, isMacOS: true });
    expect((await mac.prlctl.list()).find((machine) => machine.id === id)?.address).toBeNull();
    await mac.prlctl.stop(id, { mode: "kill" });
  });

  it("tells changes as events, one JSON object per line", async () => {
    const child = spawn(mac.prlctl.paths.prlctlPath, ["monitor-events", "--json"]);
    let lines = "";
    child.stdout.on("data", (bytes: Buffer) => void (lines += bytes.toString()));
    const seen = (text: string) => eventually(async () => lines.includes(text));
    // A machine that is there at the first look is no news, so others are made until one is.
    await eventually(async () => {
      await mac.machine(`unwatched ${crypto.randomUUID()}`);
      return lines.includes("vm_added");
    });
    const id = await mac.machine("watched");
    await seen(`"VM ID":"${id}","Event name":"vm_added"`);
    await mac.prlctl.start(id);
    await seen(`"Additional info":{"Vm state name":"running"}`);
    await mac.prlctl.stop(id, { mode: "kill" });
    await mac.prlctl.remove(id);
    await seen("vm_deleted");
    child.kill("SIGKILL");
    for (const line of lines.trim().split("\n"))
      expect(JSON.parse(line)).toMatchObject({ "VM ID": expect.any(String), "Event name": expect.stringMatching(/^vm_/) });
  });
});

describe("many commands at once", () => {
  it("keep the registry whole", async () => {
    const before = (await mac.prlctl.list()).length;
    const ids = await Promise.all(Array.from({ length: 20 }, (_, index) => mac.machine(`crowd ${index}`)));
    await Promise.all(ids.map((id) => mac.prlctl.start(id)));
    const listed = await mac.prlctl.list();
    expect(listed).toHaveLength(before + 20);
    const addresses = listed.filter(({ id }) => ids.includes(id)).map(({ address }) => address);
    expect(new Set(addresses).size).toBe(20);
    await Promise.all(ids.map((id) => mac.prlctl.stop(id, { mode: "kill" })));
    await Promise.all(ids.map((id) => mac.prlctl.remove(id)));
    expect(await mac.prlctl.list()).toHaveLength(before);
  });

  it("never see a machine broken that is only on its way to another name", async () => {
    const id = await mac.machine("name 0");
    const renames = (async () => {
      for (let number = 1; number <= 8; number += 1) await mac.prlctl.set(id, { name: `name ${number}` });
    })();
    const seen = new Set<string | undefined>();
    const looks = Array.from({ length: 8 }, async () => seen.add((await mac.prlctl.find(id))?.state));
    await Promise.all([renames, ...looks]);
    expect([...seen]).toEqual(["stopped"]);
  });

  it("let only one linked clone of a source be made at a time", async () => {
    const id = await mac.machine("contended");
    mac.control({ faults: [] });
    const clones = await Promise.all(Array.from({ length: 6 }, (_, index) => prlctl("clone", id, "--name", `linked ${index}`, "--linked")));
    const failed = clones.filter(({ exitCode }) => exitCode !== 0);
    for (const { stderr } of failed) expect(stderr).toContain("The virtual machine is being cloned.");
    expect((await mac.prlctl.list()).filter(({ name }) => /^linked \d$/.test(name))).toHaveLength(6 - failed.length);
  });

  it("leave no half machine behind when one is killed in the middle of a clone", async () => {
    const id = await mac.machine("origin");
    mac.control({ cloneBytesPerSecond: 1024 ** 2 });
    const child = spawn(mac.prlctl.paths.prlctlPath, ["clone", id, "--name", "half"]);
    await eventually(async () => (await readdir(mac.machines)).some((name) => name.startsWith(".half.")));
    expect((await prlctl("delete", id)).stderr).toContain("The virtual machine is being cloned.");
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(await mac.prlctl.find("half")).toBeNull();
    expect(existsSync(join(mac.machines, "half.pvm"))).toBe(false);
    mac.control({ cloneBytesPerSecond: null });
    expect((await mac.prlctl.clone(id, { name: "half" })).state).toBe("stopped");
    await mac.prlctl.remove(id);
    expect((await readdir(mac.machines)).filter((name) => name.startsWith("."))).toEqual([]);
  });
});
