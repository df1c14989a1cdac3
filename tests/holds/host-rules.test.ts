/** Guarantees of a host towards machines that stand on each other, and of acts that only their effect proves. */
import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ensureAbsent } from "../../activities/host/machines.ts";
import { controlSimulator } from "../../parallels/simulator/control.ts";
import { openRegistry } from "../../parallels/simulator/registry.ts";
import type { Action } from "../../workflows/machines/operate.ts";
import {
  bundlesIn,
  freshHost,
  machineFolderIn,
  openHome,
  openTestHost,
  placementOf,
  simulatorIn,
  type TestHost,
} from "../machines/host.ts";

const quiet = new AbortController().signal;
let home = "";
let host: TestHost;
beforeAll(async () => {
  home = await openHome("small");
}, 180_000);
afterAll(() => rm(home, { recursive: true, force: true }));
beforeEach(() => {
  host = freshHost(home);
});

let count = 0;
async function machine(start = false): Promise<{ id: string; name: string }> {
  const [id, name] = [randomUUID(), `m-${++count}`];
  const placement = { ...placementOf(id, name, "small", 1), start, probe: { kind: "tools" } as const };
  await host.run(({ createMachine }) => createMachine({ operationId: randomUUID(), placement, skip: ["address"] }));
  return { id, name };
}
const act = (machineId: string, action: Action, cloneId: string = randomUUID()) =>
  host.run(({ actOnMachine }) => actOnMachine({ operationId: randomUUID(), step: action.verb, machineId, epoch: 1, cloneId, action }));
const retire = async (machineId: string) => {
  const ask = { operationId: randomUUID(), machineId, unlessCloned: true };
  await host.run(({ stopMachine }) => stopMachine({ ...ask, graceMs: 0 }));
  await host.run(({ removeMachine }) => removeMachine({ ...ask, epoch: 1 }));
};
const absent = (id: string) => ensureAbsent(host.context, id, 1, quiet);
const refusal = (code: string, message: RegExp = /./) => ({ fault: { code, message: expect.stringMatching(message) } });
const snapshots = (id: string) => host.context.prlctl.snapshotList(id);
const bootedAt = (id: string) => openRegistry(simulatorIn(home)).find(id)?.guest?.sinceMs ?? 0;
const stateOf = async (id: string) => (await host.context.prlctl.find(id))?.state;

describe("a machine that a linked clone stands on", () => {
  it("is neither stopped nor removed, also when the clone was made by hand, until the clone is gone", async () => {
    const { id, name } = await machine();
    const { prlctl } = host.context;
    const clone = await prlctl.clone(id, { name: "by-hand", dst: machineFolderIn(home), linked: true });
    await expect(retire(id)).rejects.toMatchObject(refusal("machine_cloned", new RegExp(`^${name} .*by-hand`)));
    expect((await prlctl.find("by-hand"))?.state).toBe("stopped");
    await prlctl.remove(clone.id);
    await retire(id);
    expect(await bundlesIn(home)).toEqual([]);
  }, 180_000);

  it("is not copied in half by a full clone of that clone", async () => {
    const { id } = await machine();
    const linked = randomUUID();
    await act(id, { verb: "clone", name: "linked", linked: true }, linked);
    await expect(act(linked, { verb: "clone", name: "full", linked: false })).rejects.toMatchObject(refusal("machine_linked"));
    for (const one of [linked, id]) await absent(one);
    expect(await bundlesIn(home)).toEqual([]);
  }, 180_000);

  it("is cloned linked by one at a time, and all get theirs", async () => {
    const { id } = await machine();
    const clones = [randomUUID(), randomUUID(), randomUUID()];
    await Promise.all(clones.map((clone, index) => act(id, { verb: "clone", name: `one-of-${index}`, linked: true }, clone)));
    for (const clone of clones) expect(await stateOf(clone)).toBe("stopped");
    for (const one of [...clones, id]) await absent(one);
  }, 180_000);

  it("keeps no snapshot of one whose making was interrupted, and all that others made", async () => {
    const { id } = await machine();
    const kept = await host.context.prlctl.snapshotCreate(id, { name: "Snapshot for linked clone" });
    const cloneId = randomUUID();
    // The clone came to be, and its command did not live to tell.
    controlSimulator(simulatorIn(home), { faults: [{ verb: "clone", kind: "lost-exit-code" }] });
    await expect(act(id, { verb: "clone", name: "lost", linked: true }, cloneId)).rejects.toMatchObject(refusal("prlctl_failed"));
    controlSimulator(simulatorIn(home), { faults: [] });
    await absent(cloneId);
    expect((await snapshots(id)).map((one) => one.id)).toEqual([kept]);
    await absent(id);
    expect(await bundlesIn(home)).toEqual([]);
  }, 180_000);
});

describe.each(["restart", "reset"] as const)("a %s", (verb) => {
  it("whose command lost its exit code counts when the guest was seen to leave, and is unknown when it was not", async () => {
    const { id } = await machine(true);
    const before = bootedAt(id);
    controlSimulator(simulatorIn(home), { faults: [{ verb, kind: "lost-exit-code", times: 1 }], times: { startMs: 1_500 } });
    await act(id, { verb });
    expect(bootedAt(id)).toBeGreaterThan(before);
    await expect.poll(async () => (await host.context.prlctl.find(id))?.tools.state, { timeout: 60_000 }).toBe("installed");
    controlSimulator(simulatorIn(home), { faults: [{ verb, kind: "fail", stderr: "PrlJob_GetRetCode: Invalid argument." }] });
    await expect(act(id, { verb })).rejects.toMatchObject(refusal("outcome_unknown"));
    await absent(id);
  }, 180_000);

  it("of a guest that shuts down instead ends with a machine that runs", async () => {
    const { id } = await machine(true);
    const before = bootedAt(id);
    const acting = act(id, { verb });
    await expect.poll(() => bootedAt(id), { timeout: 60_000, interval: 5 }).toBeGreaterThan(before);
    await host.context.prlctl.stop(id, { mode: "kill" });
    await acting;
    expect(await stateOf(id)).toBe("running");
    await absent(id);
  }, 180_000);
});

it("a guest is given no more than two sessions at once, and who waits gets its turn", async () => {
  const { id } = await machine(true);
  host = openTestHost(home, { script: "sleep 0.3; echo done", environment: {} });
  const ended = await Promise.all([1, 2, 3, 4].map(() => act(id, { verb: "execute" })));
  expect(ended.map(({ result }) => result?.["exitCode"])).toEqual([0, 0, 0, 0]);
  await absent(id);
}, 180_000);
