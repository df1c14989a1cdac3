/** What a host does to machines holds through kills, repetitions, cancellations and older words: whole or not there, once or `outcome_unknown`. */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ensureAbsent } from "../../activities/host/machines.ts";
import { makingName, readMark, removeUnfinished } from "../../activities/host/mark.ts";
import { controlSimulator } from "../../parallels/simulator/control.ts";
import { openRegistry } from "../../parallels/simulator/registry.ts";
import type { Action } from "../../workflows/machines/operate.ts";
import { expectEqualBundles } from "./bundles.ts";
import {
  bundlesIn,
  hubId,
  images,
  type ImageSize,
  freshHost,
  machineFolderIn,
  openHome,
  openTestHost,
  placementOf,
  simulatorIn,
  type TestHost,
} from "./host.ts";
import { hanging, isAlive, killWhen } from "./victims.ts";

const quiet = new AbortController().signal;
let home = "";
let host: TestHost;
beforeAll(async () => {
  home = await openHome("small", "large");
}, 180_000);
afterAll(() => rm(home, { recursive: true, force: true }));
beforeEach(() => {
  host = freshHost(home);
});

describe("a machine in the making, whose host is killed with -9", () => {
  const hangs = (verb: string) => {
    controlSimulator(simulatorIn(home), { faults: [{ verb, kind: "hang" }] });
    return async () => (await hanging(home)).length > 0;
  };
  const moments = [
    {
      moment: "while its disk is copied",
      due: (id: string) => async () => existsSync(join(machineFolderIn(home), makingName({ machineId: id, epoch: 1 }))),
    },
    { moment: "before it is registered", due: () => hangs("register") },
    { moment: "before it is configured", due: () => hangs("set") },
  ];

  it.each(moments)(
    "$moment is made by the next attempt: one machine, whole, configured, nothing beside it",
    async ({ due }) => {
      const { order, machineId, name } = newOrder("large");
      await killWhen({ home, create: order }, due(machineId));
      controlSimulator(simulatorIn(home), { faults: [] });
      const made = await host.run(({ createMachine }) => createMachine(order));
      expect((await host.context.prlctl.list()).filter((machine) => machine.name === name)).toMatchObject([
        { id: machineId, state: "stopped" },
      ]);
      expect(await host.context.prlctl.find(machineId)).toMatchObject({
        cpus: 1,
        description: "made by a test",
        bundlePath: made.bundlePath,
      });
      expect(await bundlesIn(home)).toEqual([`${name}.pvm`]);
      await expectEqualBundles(host.context.cache.paths(images.large).bundle, made.bundlePath);
      await absent(machineId, 1);
      expect(await bundlesIn(home)).toEqual([]);
    },
    180_000,
  );

  it.each(moments)(
    "$moment is removed without a trace when nobody wants it any more",
    async ({ due }) => {
      const { order, machineId } = newOrder("large");
      await killWhen({ home, create: order }, due(machineId));
      controlSimulator(simulatorIn(home), { faults: [] });
      await host.run(({ removeMachine }) => removeMachine({ operationId: order.operationId, machineId, epoch: 1 }));
      await host.run(({ removeMachine }) => removeMachine({ operationId: order.operationId, machineId, epoch: 1 }));
      expect([await bundlesIn(home), await host.context.prlctl.list(), await host.context.ledger.placed(machineId)]).toEqual([
        [],
        [],
        null,
      ]);
    },
    180_000,
  );

  it("leaves no unfinished copy once the host is back, even if nobody asks for it", async () => {
    const { order, machineId } = newOrder("large");
    await killWhen({ home, create: order }, moments[0]?.due(machineId) ?? (async () => true));
    expect(await bundlesIn(home)).toHaveLength(1);
    await removeUnfinished(machineFolderIn(home));
    expect(await bundlesIn(home)).toEqual([]);
  }, 180_000);
});

describe("a linked clone, whose host is killed with -9 before it has our id", () => {
  it.each(["resumed", "removed"])(
    "is %s like any other machine",
    async (what) => {
      const source = await machine();
      const cloneId = randomUUID();
      const act = {
        operationId: randomUUID(),
        step: "clone",
        machineId: source.id,
        epoch: 1,
        cloneId,
        action: { verb: "clone", name: "linked", linked: true },
      } as const;
      controlSimulator(simulatorIn(home), { faults: [{ verb: "unregister", kind: "hang" }] });
      await killWhen({ home, act }, async () => (await hanging(home)).length > 0);
      controlSimulator(simulatorIn(home), { faults: [] });
      if (what === "resumed") await host.run(({ actOnMachine }) => actOnMachine(act));
      const named = (await host.context.prlctl.list()).filter(({ name }) => name === "linked");
      expect(named).toMatchObject(what === "resumed" ? [{ id: cloneId }] : [{ id: expect.not.stringMatching(cloneId) }]);
      await absent(cloneId, 1);
      expect((await host.context.prlctl.list()).map(({ id }) => id)).toEqual([source.id]);
      await source.remove();
      expect(await bundlesIn(home)).toEqual([]);
    },
    180_000,
  );
});

describe("an act that must not happen twice", () => {
  it("is not repeated when the host was killed in the middle, but told as unknown", async () => {
    const { id, remove } = await machine({ start: true });
    const act = { operationId: randomUUID(), step: "restart", machineId: id, epoch: 1, action: { verb: "restart" } } as const;
    controlSimulator(simulatorIn(home), { faults: [{ verb: "restart", kind: "hang" }] });
    await killWhen({ home, act }, async () => (await hanging(home)).length > 0);
    controlSimulator(simulatorIn(home), { faults: [] });
    const before = bootedAt(id);
    await expect(host.run(({ actOnMachine }) => actOnMachine(act))).rejects.toMatchObject({ fault: { code: "outcome_unknown" } });
    expect(bootedAt(id)).toBe(before);
    await remove();
  }, 180_000);

  it("answers what it came to when its answer was lost", async () => {
    const { id, remove } = await machine({ start: true });
    const act = { operationId: randomUUID(), step: "reset", machineId: id, epoch: 1, action: { verb: "reset" } } as const;
    const first = await host.run(({ actOnMachine }) => actOnMachine(act));
    const booted = bootedAt(id);
    const again = await openTestHost(home).run(({ actOnMachine }) => actOnMachine(act));
    expect(again).toEqual(first);
    expect(bootedAt(id)).toBe(booted);
    await remove();
  }, 180_000);

  it("is tried again after a refusal, which proves that nothing was done", async () => {
    const { id, remove } = await machine({ start: true });
    const act = { operationId: randomUUID(), step: "restart", machineId: id, epoch: 1, action: { verb: "restart" } } as const;
    controlSimulator(simulatorIn(home), { faults: [{ verb: "restart", kind: "fail", times: 1, stderr: "Login failed: no service\n" }] });
    await expect(host.run(({ actOnMachine }) => actOnMachine(act))).rejects.toMatchObject({ fault: { code: "prlctl_unavailable" } });
    const before = bootedAt(id);
    await host.run(({ actOnMachine }) => actOnMachine(act));
    expect(bootedAt(id)).toBeGreaterThan(before);
    await remove();
  }, 180_000);
});

describe("older words", () => {
  it("do not touch a newer placement of the same machine, with or without the ledger", async () => {
    const { id, remove } = await machine({ epoch: 2 });
    await absent(id, 1);
    expect(await host.context.prlctl.find(id)).not.toBeNull();
    await host.context.ledger.forget(id);
    await absent(id, 1);
    expect(await host.context.prlctl.find(id)).not.toBeNull();
    await remove();
    expect(await host.context.prlctl.find(id)).toBeNull();
  }, 180_000);

  it("remove what an older placement left, also when only its bundle is there", async () => {
    const { id, bundlePath } = await machine();
    expect(await readMark(bundlePath)).toMatchObject({ machineId: id, epoch: 1, hubId });
    await host.context.prlctl.unregister(id);
    await host.context.ledger.forget(id);
    await absent(id, 1);
    expect(await bundlesIn(home)).toEqual([]);
  }, 180_000);

  it("find no bundle that carries another's mark or none", async () => {
    const [mine, theirs] = [await machine(), await machine()];
    await rm(join(theirs.bundlePath, "drover.json"));
    await absent(mine.id, 1);
    expect(await bundlesIn(home)).toEqual([`${theirs.name}.pvm`]);
    expect(await host.context.prlctl.find(theirs.id)).not.toBeNull();
    await theirs.remove();
  }, 180_000);
});

it("a machine that is let go keeps its files without our mark, and with it as long as it cannot be unregistered", async () => {
  const { id, bundlePath } = await machine();
  const asked = { operationId: randomUUID(), machineId: id, epoch: 1 };
  const letGo = (more = {}) => host.run(({ letGoMachine }) => letGoMachine({ ...asked, ...more }));
  controlSimulator(simulatorIn(home), { faults: [{ verb: "unregister", kind: "fail", stderr: "The host is busy with itself." }] });
  await expect(letGo()).rejects.toThrow("busy with itself");
  expect(await readMark(bundlePath)).toMatchObject({ machineId: id, copied: false });
  controlSimulator(simulatorIn(home), { faults: [] });
  await letGo({ epoch: 0 });
  await letGo({ bundlePath: "/elsewhere.pvm" });
  expect(await host.context.prlctl.find(id)).not.toBeNull();
  for (const again of [letGo, letGo]) await again();
  expect([await host.context.prlctl.find(id), await readMark(bundlePath), existsSync(bundlePath)]).toEqual([null, null, true]);
  await rm(bundlePath, { recursive: true });
}, 180_000);

describe("cancellation", () => {
  const sealed = { script: "sleep 60", environment: {} };
  const cases: ReadonlyArray<{ action: Action; verb: string; start: boolean }> = [
    { action: { verb: "start" }, verb: "start", start: false },
    { action: { verb: "stop", mode: "graceful", graceSeconds: 120 }, verb: "stop", start: true },
    { action: { verb: "suspend" }, verb: "suspend", start: true },
    { action: { verb: "pause" }, verb: "pause", start: true },
    { action: { verb: "restart" }, verb: "restart", start: true },
    { action: { verb: "configure", vcpus: 2 }, verb: "set", start: false },
    { action: { verb: "clone", name: "never", linked: true }, verb: "clone", start: false },
    { action: { verb: "snapshot-create", name: "never" }, verb: "snapshot", start: false },
    { action: { verb: "capture" }, verb: "capture", start: true },
    { action: { verb: "execute" }, verb: "exec", start: true },
  ];
  it("ends each action within 5 s, with the command that hangs in it", async () => {
    host = openTestHost(home, sealed);
    const machines = await Promise.all([machine(), machine({ start: true })]);
    const [still, running] = machines;
    for (const { action, verb, start } of cases) {
      controlSimulator(simulatorIn(home), { faults: [{ verb, kind: "hang" }] });
      const machineId = (start ? running : still).id;
      const act = { operationId: randomUUID(), step: action.verb, machineId, epoch: 1, cloneId: randomUUID(), action };
      const acting = host.run(({ actOnMachine }) => actOnMachine(act));
      const outcome = acting.then(
        () => "ended",
        (error: unknown) => (error as Error).name,
      );
      const pid = await untilHanging();
      const cancelled = performance.now();
      acting.cancel();
      expect([action.verb, await outcome]).toEqual([action.verb, "CancelledFailure"]);
      expect(performance.now() - cancelled).toBeLessThan(5_000);
      expect([action.verb, isAlive(pid)]).toEqual([action.verb, false]);
      await rm(join(simulatorIn(home), "hanging"), { recursive: true, force: true });
      controlSimulator(simulatorIn(home), { faults: [] });
      await absent(act.cloneId, 1);
    }
    for (const { remove } of machines) await remove();
    expect(await bundlesIn(home)).toEqual([]);
  }, 180_000);

  it("of a start takes back what the start did, and nothing that was running before", async () => {
    const { id, remove } = await machine({ start: true });
    const operationId = randomUUID();
    await host.run(({ actOnMachine }) => actOnMachine({ operationId, step: "start", machineId: id, epoch: 1, action: { verb: "start" } }));
    await host.run(({ stopMachine }) => stopMachine({ operationId, machineId: id, graceMs: 0, ifStarted: true }));
    expect((await host.context.prlctl.find(id))?.state).toBe("running");
    await host.run(({ stopMachine }) => stopMachine({ operationId, machineId: id, graceMs: 0 }));
    await host.run(({ actOnMachine }) => actOnMachine({ operationId, step: "start", machineId: id, epoch: 1, action: { verb: "start" } }));
    await host.run(({ stopMachine }) => stopMachine({ operationId, machineId: id, graceMs: 0, ifStarted: true }));
    expect((await host.context.prlctl.find(id))?.state).toBe("stopped");
    await remove();
  }, 180_000);
});

interface Made {
  readonly id: string;
  readonly name: string;
  readonly bundlePath: string;
  remove(): Promise<void>;
}
let count = 0;
function newOrder(size: ImageSize, epoch = 1) {
  const machineId = randomUUID();
  const name = `m-${++count}`;
  return { machineId, name, order: { operationId: randomUUID(), placement: placementOf(machineId, name, size, epoch), skip: [] } };
}

async function machine({ start = false, epoch = 1 }: { start?: boolean; epoch?: number } = {}): Promise<Made> {
  const { order, machineId: id, name } = newOrder("small", epoch);
  const placement = { ...order.placement, start, probe: { kind: "tools" } as const };
  const { bundlePath } = await host.run(({ createMachine }) => createMachine({ ...order, skip: ["address"], placement }));
  return { id, name, bundlePath, remove: () => absent(id, epoch) };
}

const absent = (id: string, epoch: number) => ensureAbsent(host.context, id, epoch, quiet);
const bootedAt = (id: string) => openRegistry(simulatorIn(home)).find(id)?.guest?.sinceMs ?? 0;

async function untilHanging(): Promise<number> {
  for (const end = Date.now() + 10_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 5))) {
    const [pid] = await hanging(home);
    if (pid !== undefined) return Number(pid);
  }
  throw new Error("no command hangs");
}
