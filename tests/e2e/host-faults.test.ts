/**
 * Faults on a host, on the whole stack: what an operator can mend parks and goes on, what is cancelled leaves nothing, what is asked twice happens once.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { pathOf } from "../../cli/client.ts";
import { Machine, Operation } from "../../cli/wire.ts";
import { controlSimulator, usualControl } from "../../parallels/simulator/control.ts";
import { expectNothingLeft, moving, onDiskOf, operationUntil, refusalOf, sampleIn, settled, simulatorOf } from "./faults.ts";
import { openStack, ownServers, type TestStack } from "./stack.ts";

const host = "mac-1";
const small = ["--image", "base:1", "--cpus", "1", "--memory", "512M"];
/** Promised for a live host. */
const cancelWithinMs = 5_000;

let stack: TestStack;
let before: { bundles: string[]; cached: string[] };
let hostId = "";
interface Started {
  id: string;
  workflowId: string;
}

beforeAll(async () => {
  stack = await openStack({ ...(await ownServers()), DROVER_HOSTS: "1", DROVER_BOOT_LIMIT: "3s" });
  hostId = (await stack.json<{ id: string }>("host", "show", host)).id;
  await stack.json("push", await sampleIn(stack, "own", "base", 8), "base", "--version", "1");
  await stack.json("pull", "base:1", "--host", host);
  before = await onDiskOf(stack, host);
}, 180_000);
afterAll(() => stack?.close(), 60_000);
afterEach(async () => {
  controlSimulator(simulatorOf(stack, host), { ...usualControl });
  await expectNothingLeft(stack, host, before);
}, 180_000);

describe("a Parallels Desktop that misbehaves", () => {
  it("makes, changes and retires a machine although commands lose their exit codes", async () => {
    const losing = (verb: string) => ({ verb, kind: "lost-exit-code", times: 1 }) as const;
    controlSimulator(simulatorOf(stack, host), { faults: ["register", "set", "start", "suspend", "stop", "delete"].map(losing) });
    await stack.json("machine", "create", "forgetful", ...small);
    expect(await stack.json("machine", "show", "forgetful")).toMatchObject({ observed: "running" });
    await stack.json("machine", "suspend", "forgetful");
    await stack.json("machine", "delete", "forgetful", "--force");
  }, 180_000);

  it("ends within 5 s when it is cancelled while a command hangs, and leaves nothing", async () => {
    controlSimulator(simulatorOf(stack, host), { faults: [{ verb: "start", kind: "hang", times: 1 }] });
    const id = await provision("hanging");
    await expect.poll(() => readdir(join(simulatorOf(stack, host), "hanging")).catch(() => []), { timeout: 60_000 }).not.toEqual([]);
    await cancelled(id);
    expect(await stack.json("machine", "list")).toEqual([]);
  }, 180_000);

  it("fails at once and leaves nothing where the caller asked not to park", async () => {
    controlSimulator(simulatorOf(stack, host), { licence: "expired" });
    const refused = await refusalOf(stack, "machine", "create", "unlicensed", "--on-fault", "fail", ...small);
    expect(refused).toMatchObject({ exit: 6, code: "licence_expired" });
    expect(await stack.json("machine", "list")).toEqual([]);
  }, 180_000);
});

describe("a cancelled operation", () => {
  const bytes = 160;
  it("ends a push and then a pull in the middle within 5 s, and the same again works", async () => {
    const bundlePath = await sampleIn(stack, join("hosts", host, "simulator", "Parallels"), "heavy", bytes);
    const pushed = ["push", bundlePath, "heavy", "--version", "1", "--host", host];
    await cancelInTheMiddle(await start(...pushed), "upload");
    expect(await stack.json("image", "list", "heavy")).toEqual([]);
    expect(await readdir(join(stack.home, "hosts", host, "journals"))).toEqual([]);
    await stack.json(...pushed);
    await rm(bundlePath, { recursive: true });

    await cancelInTheMiddle(await start("pull", "heavy:1", "--host", host), "fetch");
    await expectNothingLeft(stack, host, before);
    const { result } = await stack.json<{ result: { digest: string } }>("pull", "heavy:1", "--host", host);
    before = { ...before, cached: [...before.cached, result.digest].toSorted((a, b) => a.localeCompare(b)) };
  }, 180_000);

  it("ends a machine that boots within 5 s: no machine, no bundle, and its name is free", async () => {
    controlSimulator(simulatorOf(stack, host), { times: { startMs: 60_000 } });
    const id = await provision("booting");
    await operationUntil(stack, id, ({ steps }) => steps.some(({ name, state }) => name === "start" && state === "running"));
    await cancelled(id);
    expect(await stack.json("machine", "list")).toEqual([]);
    await expectNothingLeft(stack, host, before);
    controlSimulator(simulatorOf(stack, host), { times: { startMs: 150 } });
    await stack.json("machine", "create", "booting", ...small);
    await stack.json("machine", "delete", "booting", "--force");
  }, 180_000);
});

describe("what is asked for more than once, or by nobody", () => {
  it("retires a machine once, however often it is asked for", async () => {
    const { machine } = await stack.json<{ machine: { id: string } }>("machine", "create", "once", "--no-start", ...small);
    // By its id: the name may belong to another machine by then.
    const retire = () => stack.json<Started>("machine", "delete", machine.id);
    const [first, second] = await Promise.all([retire(), retire()]);
    expect(second.id).toBe(first.id);
    expect((await retire()).id).toBe(first.id);
  }, 180_000);

  it("retires a machine by itself when its time to live is over", async () => {
    await stack.json("machine", "create", "brief", "--no-start", "--ttl", "2s", ...small);
    await expect.poll(() => stack.client.list("/machines", Machine), { timeout: 60_000 }).toEqual([]);
    const [retire] = await stack.client.list("/operations", Operation, { verb: "retire" }, 1);
    expect(retire).toMatchObject({ subject: "brief", actor: "system" });
    await settled(stack, retire?.id ?? "");
  }, 180_000);

  it("moves the bytes once for twelve pulls of one image to one host", async () => {
    const { result } = await stack.json<{ result: { storedBytes: number } }>(
      "push",
      await sampleIn(stack, "own", "popular", 24),
      "popular",
      "--version",
      "1",
    );
    const carriedBefore = await carriedBytes();
    const body = { catalogId: "popular", version: "1" };
    const pulls = await Promise.all(
      Array.from({ length: 12 }, () => stack.client.send("POST", `${pathOf("hosts", hostId)}/images`, Operation, { body })),
    );
    const ended = await Promise.all(pulls.map(({ id }) => settled(stack, id)));
    expect(ended.map(({ state, fault }) => fault?.message ?? state)).toEqual(pulls.map(() => "done"));
    const carried = (await carriedBytes()) - carriedBefore;
    expect(carried).toBeGreaterThan(result.storedBytes * 0.9);
    // The image's two lists travel besides its packs.
    expect(carried).toBeLessThan(result.storedBytes * 1.2);
    const told = ended.reduce((sum, { result: own }) => sum + Number(own?.["fetchedBytes"]), 0);
    expect(told).toBeLessThanOrEqual(carried);
    before = { ...before, cached: (await onDiskOf(stack, host)).cached };
  }, 180_000);
});

const start = (...words: string[]): Promise<Started> => stack.json<Started>(...words, "--detach");
const provision = async (name: string): Promise<string> => (await start("machine", "create", name, ...small)).id;

async function cancelInTheMiddle({ id }: Started, step: string): Promise<void> {
  await moving(stack, id, step);
  await cancelled(id);
}

async function cancelled(id: string): Promise<void> {
  const asked = Date.now();
  expect(await stack.json("operation", "cancel", id)).toMatchObject({ state: "cancelled" });
  const { endedAt } = await stack.json<{ endedAt: string }>("operation", "show", id);
  expect(Date.parse(endedAt) - asked).toBeLessThan(cancelWithinMs);
}

async function carriedBytes(): Promise<number> {
  const metrics = await (await fetch(`http://127.0.0.1:${stack.env["GATEWAY_HEALTH_PORT"]}/metrics`)).text();
  return Number(/drover_gateway_carried_bytes_total\{direction="read"\} (\d+)/.exec(metrics)?.[1] ?? 0);
}
