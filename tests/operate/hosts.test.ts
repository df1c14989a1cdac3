/**
 * Hosts that cannot do their work, each fault caused for real on a running stack and mended by what `docs/operate.md` says: a licence that expired, guests
 * that never answer, a host that falls silent in the middle of everything.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Host, Machine } from "../../cli/wire.ts";
import { pathOf } from "../../cli/client.ts";
import { controlSimulator, usualControl } from "../../parallels/simulator/control.ts";
import { expectNothingLeft, moving, onDiskOf, operation, parkedAt, running, sampleIn, settled, simulatorOf } from "../e2e/faults.ts";
import { openStack, ownServers, type TestStack } from "../e2e/stack.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

const small = ["--image", "base:1", "--cpus", "1", "--memory", "512M"];
const hosts = ["mac-1", "mac-2"] as const;
/** Lost after 30 s of silence, told within a second or two; the rest is a loaded computer. */
const lostWithinMs = 60_000;
const begunWithinMs = 60_000;

let stack: TestStack;
let terminal: Terminal;
let before: Awaited<ReturnType<typeof onDiskOf>>[];

beforeAll(async () => {
  stack = await openStack({ ...(await ownServers()), DROVER_HOSTS: "2", DROVER_BOOT_LIMIT: "3s" });
  terminal = await openTerminal(stack);
  await stack.json("push", await sampleIn(stack, "own", "base", 8), "base", "--version", "1");
  await Promise.all(hosts.map((host) => stack.json("pull", "base:1", "--host", host)));
  before = await Promise.all(hosts.map((host) => onDiskOf(stack, host)));
}, 180_000);
afterAll(() => stack?.close(), 60_000);
afterEach(async () => {
  for (const [index, host] of hosts.entries()) {
    controlSimulator(simulatorOf(stack, host), { ...usualControl });
    const was = before[index];
    if (was) await expect.poll(() => expectNothingLeft(stack, host, was).then(() => "nothing"), { timeout: 60_000 }).toBe("nothing");
  }
}, 180_000);

const start = async (...words: string[]): Promise<string> => (await stack.json<{ id: string }>(...words, "--detach")).id;
const provision = (name: string, ...more: string[]) => start("machine", "create", name, ...small, ...more);

describe("an expired licence of Parallels Desktop", () => {
  it("parks at the start, and goes on once the licence is renewed", async () => {
    const section = "The licence of Parallels Desktop expired";
    controlSimulator(simulatorOf(stack, "mac-1"), { licence: "expired" });
    const id = await provision("licensed", "--host", "mac-1");
    expect(await parkedAt(stack, id)).toEqual({ step: "start", code: "licence_expired" });
    await terminal.type(section, `drover operation show ${id}`);
    await terminal.type(section, "drover host show mac-1 | grep hypervisor");
    controlSimulator(simulatorOf(stack, "mac-1"), { licence: "valid" });
    await terminal.type(section, `drover operation retry --detach ${id}`);
    expect(await settled(stack, id)).toMatchObject({ state: "done" });
    expect(await stack.json("machine", "show", "licensed")).toMatchObject({ observed: "running" });
    await stack.json("machine", "delete", "licensed", "--force");
  }, 180_000);
});

describe("a guest that does not come up", () => {
  it("parks where Parallels Tools do not answer, and an operator may do without them", async () => {
    const section = "Parallels Tools never come up";
    controlSimulator(simulatorOf(stack, "mac-1"), { toolsNeverUp: true });
    const id = await provision("mute", "--host", "mac-1");
    expect(await parkedAt(stack, id)).toEqual({ step: "answers", code: "tools_unavailable" });
    await terminal.type(section, `drover operation show ${id}`);
    await terminal.type(section, `drover operation skip --detach ${id}`);
    const { state, steps } = await settled(stack, id);
    expect(state).toBe("done");
    expect(steps.find(({ name }) => name === "answers")).toMatchObject({ state: "skipped" });
    expect(await stack.json("machine", "show", "mute")).toMatchObject({ observed: "running", addresses: [expect.stringMatching(/^10\./)] });
    await stack.json("machine", "delete", "mute", "--force");
  }, 180_000);

  it("parks where it gets no address, and the step that is tried again finds the one it got meanwhile", async () => {
    const section = "Parallels Tools never come up";
    controlSimulator(simulatorOf(stack, "mac-1"), { addressNever: true });
    const id = await provision("nowhere", "--host", "mac-1");
    const { step, code } = await parkedAt(stack, id);
    expect({ step, code }).toEqual({ step: "address", code: "address_missing" });
    await terminal.type(section, `drover operation show ${id}`);
    controlSimulator(simulatorOf(stack, "mac-1"), { addressNever: false });
    await terminal.type(section, `drover operation retry --detach ${id}`);
    expect(await settled(stack, id)).toMatchObject({ state: "done" });
    await stack.json("machine", "delete", "nowhere", "--force");
  }, 180_000);
});

describe("a host that falls silent", () => {
  it("is late, then lost: a pull waits for it and goes on, a push that must not wait fails, a machine is made elsewhere and its twin removed", async () => {
    const section = "A host is lost";
    const bundle = await sampleIn(stack, join("hosts", "mac-1", "simulator", "Parallels"), "lost-push", 160);
    await stack.json("push", await sampleIn(stack, "own", "heavy", 96), "heavy", "--version", "1");
    before = await Promise.all(hosts.map((host) => onDiskOf(stack, host)));
    controlSimulator(simulatorOf(stack, "mac-1"), { times: { startMs: 60_000 } });
    // Neither host has room for a second one; the first to be placed goes to mac-1, which has more memory left.
    await stack.json("host", "disable", "mac-2");
    const machine = await provision("moved");
    await running(stack, machine, "start", begunWithinMs);
    await stack.json("host", "enable", "mac-2");
    const [pull, push] = await Promise.all([
      start("pull", "heavy:1", "--host", "mac-1"),
      start("push", bundle, "lost", "--version", "1", "--host", "mac-1", "--on-fault", "fail"),
    ]);
    await Promise.all([moving(stack, pull, "fetch", begunWithinMs), moving(stack, push, "upload", begunWithinMs)]);

    const release = freeze("mac-1");
    try {
      const state = async () => (await stack.client.get(pathOf("hosts", "mac-1"), Host)).state;
      await expect.poll(state, { timeout: lostWithinMs }).toBe("late");
      await terminal.type(section, "drover host list | grep -E 'HOST|mac-1'");
      await expect.poll(state, { timeout: lostWithinMs }).toBe("lost");
      expect(await parkedAt(stack, pull)).toEqual({ step: "fetch", code: "host_lost" });
      await terminal.type(section, `drover operation show ${pull}`);
      expect(await settled(stack, push)).toMatchObject({ state: "failed", fault: { code: "host_lost" } });
      const made = await settled(stack, machine, 30_000);
      expect(made.state).toBe("done");
      await terminal.type(section, `drover operation show ${machine}`);
      const [moved] = await stack.client.list("/machines", Machine);
      const mac2 = await stack.client.get(pathOf("hosts", "mac-2"), Host);
      expect(moved).toMatchObject({ name: "moved", hostId: mac2.id, observed: "running" });
    } finally {
      release();
    }
    controlSimulator(simulatorOf(stack, "mac-1"), { times: { startMs: 150 } });
    expect(await settled(stack, pull, 60_000)).toMatchObject({ state: "done" });
    expect((await operation(stack, pull)).steps.find(({ name }) => name === "fetch")).toMatchObject({ state: "done", attempt: 2 });
    await stack.json("machine", "delete", "moved", "--force");
    await rm(bundle, { recursive: true });
    before = await Promise.all(hosts.map(async (host) => ({ bundles: [], incoming: [], cached: (await onDiskOf(stack, host)).cached })));
  }, 240_000);
});

/** Stops the host's process as a sleeping Mac's is stopped; answers what wakes it. */
function freeze(host: string): () => void {
  const pid = stack.stack.pids()[host];
  if (!pid) throw new Error(`${host} does not run`);
  process.kill(pid, "SIGSTOP");
  return () => void process.kill(pid, "SIGCONT");
}
