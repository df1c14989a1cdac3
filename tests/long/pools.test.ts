/** Guarantees of pools on a whole stack: what waits is ready, a lease is one caller's, and what ended leaves nothing. */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pathOf } from "../../cli/client.ts";
import { Operation } from "../../cli/wire.ts";
import { controlSimulator } from "../../parallels/simulator/control.ts";
import { onDiskOf, sampleIn, settled, simulatorOf } from "../e2e/faults.ts";
import { noTimes, openPools, until } from "../pools/world.ts";

let world: Awaited<ReturnType<typeof openPools>>;
beforeAll(async () => {
  world = await openPools();
}, 180_000);
afterAll(() => world?.close(), 60_000);

const hosts = ["mac-1", "mac-2"];
const ready = (count: number) => (detail: { idle: number; making: number }) => detail.idle === count && detail.making === 0;
const machinesOnHosts = async () => (await Promise.all(hosts.map((host) => onDiskOf(world.stack, host)))).flatMap(({ bundles }) => bundles);
const gone = (name: string) =>
  until(`${name} is gone`, async () => ((await world.isGone(name)) ? true : JSON.stringify(await world.show(name).catch(String))));
const allHosts = (control: Parameters<typeof controlSimulator>[1]) => {
  for (const host of hosts) controlSimulator(simulatorOf(world.stack, host), { times: noTimes, ...control });
};

describe("a pool", () => {
  it("fills, gives its machines away at once, makes others, retires what is given back, and ends without a trace", async () => {
    await world.create("first", { minimumIdle: 2, maximum: 4, labels: { for: "ci" } });
    const full = await world.until("first", "it is full", ready(2));
    expect(full.shortfalls).toEqual([]);
    const lease = await world.lease("first", { ttlSeconds: 600 });
    expect(lease).toMatchObject({ pool: "first", leasedBy: "root", operation: null });
    expect(lease.machine).toMatchObject({ observed: "running", labels: { pool: "first", for: "ci" } });
    expect(lease.machine.addresses.length).toBeGreaterThan(0);
    await world.until("first", "it fills again", (detail) => ready(2)(detail) && detail.leased === 1);
    await settled(world.stack, (await world.release("first", lease.id)).id);
    await world.until("first", "the lease is gone", (detail) => detail.leased === 0 && detail.ending === 0);
    await expect(world.machine(lease.machine.id)).rejects.toThrow(/no machine/);
    await world.end("first", "wait");
    await gone("first");
    expect(await machinesOnHosts()).toEqual([]);
  }, 300_000);

  it("ends a lease whose time is over, and one whose machine went off by itself; not one that its lessee stopped", async () => {
    await world.create("ends", { minimumIdle: 3, maximum: 6 });
    await world.until("ends", "it is full", ready(3));
    const [short, crashed, stopped] = [await world.lease("ends", { ttlSeconds: 2 }), await world.lease("ends"), await world.lease("ends")];
    const { id } = await world.stack.client.send("POST", `${pathOf("machines", stopped.machine.id)}/actions`, Operation, {
      body: { verb: "stop", mode: "kill" },
    });
    await settled(world.stack, id);
    await world.prlctl(crashed.machine.hostId).stop(crashed.machine.id, { mode: "kill" });
    const after = await world.until(
      "ends",
      "two of three leases have ended",
      (detail) => detail.leased === 1 && detail.ending === 0 && ready(3)(detail),
    );
    expect(after.machines.find(({ leaseId }) => leaseId !== null)?.machineId).toBe(stopped.machine.id);
    expect(after.machines.map(({ machineId }) => machineId)).not.toContain(short.machine.id);
    await world.end("ends", "wait");
    await world.until("ends", "only its lease is left", (detail) => detail.machines.length === 1 && detail.state === "ending");
    await expect(world.lease("ends")).rejects.toThrow(/was deleted/);
    await world.end("ends", "end");
    await gone("ends");
    expect(await machinesOnHosts()).toEqual([]);
  }, 300_000);

  it("replaces a machine that went off while it waited, and one that somebody used", async () => {
    await world.create("spoiled", { minimumIdle: 2, maximum: 4 });
    const { machines } = await world.until("spoiled", "it is full", ready(2));
    const [off, used] = machines;
    if (!off || !used) throw new Error("The pool is not full.");
    await world.prlctl(off.hostId).stop(off.machineId, { mode: "kill" });
    const body = { verb: "execute", script: "true" };
    await world.stack.client.send("POST", `${pathOf("machines", used.machineId)}/actions`, Operation, { body });
    const names = new Set([off.machineId, used.machineId]);
    await world.until(
      "spoiled",
      "two others wait",
      (detail) => ready(2)(detail) && !detail.machines.some(({ machineId }) => names.has(machineId)),
    );
    await world.end("spoiled", "end");
    await gone("spoiled");
  }, 300_000);

  it("follows its image's new version without ever having fewer that wait than it should", async () => {
    await world.create("rolls", { minimumIdle: 2, maximum: 4 });
    const before = await world.until("rolls", "it is full", ready(2));
    await world.stack.json("push", await sampleIn(world.stack, "own", "next", 4), "base", "--version", "2", "--tag", "latest");
    let fewest = 2;
    const after = await world.until("rolls", "all are made of the new version", (detail) => {
      fewest = Math.min(fewest, detail.idle);
      return ready(2)(detail) && detail.machines.length === 2 && detail.machines.every(({ image }) => image?.includes("/2/") ?? false);
    });
    expect(fewest).toBe(2);
    const old = new Set(before.machines.map(({ machineId }) => machineId));
    expect(after.machines.filter(({ machineId }) => old.has(machineId))).toEqual([]);
    await world.edit("rolls", { minimumIdle: 0 });
    await world.until("rolls", "none waits", (detail) => detail.machines.length === 0);
    await world.end("rolls", "wait");
    await gone("rolls");
  }, 300_000);

  it("does not make machine after machine of what cannot be made, says why, and fills once it can", async () => {
    allHosts({ licence: "expired" });
    await world.create("broken", { minimumIdle: 5, maximum: 5 });
    const slow = await world.until("broken", "it waits", ({ shortfalls }) => shortfalls.some(({ code }) => code === "backing_off"));
    expect(slow.shortfalls[0]).toMatchObject({ fault: { code: "licence_expired" } });
    await delay(12_000);
    const made = await world.stack.client.list("/operations", Operation, { verb: "provision", state: "failed" });
    // Five at first; then one after some five seconds, and one after twice as long.
    expect(made.filter(({ subject }) => subject.startsWith("broken-")).length).toBeLessThanOrEqual(8);
    allHosts({ licence: "valid" });
    await world.edit("broken", { labels: { again: "1" } });
    await world.until("broken", "it is full", ready(5));
    await world.end("broken", "end");
    await gone("broken");
    expect(await machinesOnHosts()).toEqual([]);
  }, 300_000);

  it("of suspended machines gives one that runs when its operation has ended", async () => {
    await world.create("sleeps", { minimumIdle: 2, maximum: 4, idleState: "suspended" });
    await world.until("sleeps", "two sleep", ready(2));
    const lease = await world.lease("sleeps");
    expect(lease.operation).toMatchObject({ verb: "resume" });
    expect(await settled(world.stack, lease.operation?.id ?? "")).toMatchObject({ state: "done" });
    expect(await world.machine(lease.machine.id)).toMatchObject({ observed: "running" });
    await world.until("sleeps", "two sleep again", (detail) => ready(2)(detail) && detail.leased === 1);
    await world.end("sleeps", "end");
    await gone("sleeps");
  }, 300_000);

  it("loses and doubles nothing when the hub's worker is killed again and again while it fills and shrinks", async () => {
    await world.create("killed", { minimumIdle: 6, maximum: 8 });
    for (let kill = 0; kill < 4; kill++) {
      await delay(1_500);
      const pid = world.stack.stack.pids()["hub"];
      if (pid) process.kill(pid, "SIGKILL");
      await world.edit("killed", { minimumIdle: kill % 2 === 0 ? 3 : 6 });
      const { machines } = await world.show("killed");
      expect(machines.length).toBeLessThanOrEqual(8);
    }
    await world.until("killed", "it is as it should be", (detail) => ready(6)(detail) && detail.machines.length === 6);
    expect(await machinesOnHosts()).toHaveLength(6);
    await world.end("killed", "end");
    await gone("killed");
    expect(await machinesOnHosts()).toEqual([]);
    const left = await world.query(
      "select (select count(*) from holds)::int as holds, (select count(*) from placements)::int as placements",
    );
    expect(left).toEqual([{ holds: 0, placements: 0 }]);
  }, 300_000);

  it("is kept and leased from by the command line", async () => {
    const { json, drover } = world.stack;
    await json("pool", "create", "typed", "--image", "base", "--cpus", "1", "--memory", "128M", "--idle", "1", "--idle-state", "suspended");
    const lease = await json<{ id: string; machine: { name: string; observed: string } }>(
      "pool",
      "lease",
      "typed",
      "--wait",
      "2m",
      "--ttl",
      "10m",
    );
    expect(lease.machine.observed).toBe("running");
    expect((await drover("pool", "show", "typed")).stdout).toContain(lease.id);
    expect((await drover("pool", "list")).stdout).toMatch(/typed +base +\d of 1/);
    expect(await json("pool", "edit", "typed", "--idle", "0", "--lease-time", "30m")).toMatchObject({ minimumIdle: 0, leaseSeconds: 1800 });
    await world.until("typed", "none waits", ({ machines }) => machines.length === 1);
    expect(await drover("pool", "lease", "typed")).toMatchObject({
      code: 5,
      stderr: expect.stringContaining("No machine of typed is idle"),
    });
    expect(await drover("pool", "release", "typed", lease.machine.name)).toMatchObject({ code: 0 });
    expect(await drover("pool", "delete", "typed")).toMatchObject({ code: 0 });
    await gone("typed");
    expect(await drover("pool", "show", "typed")).toMatchObject({ code: 4 });
  }, 300_000);

  it("of machines that cannot be suspended does not make one after the other", async () => {
    allHosts({ faults: [{ verb: "suspend", kind: "fail", stderr: "The virtual machine cannot be suspended.", exit: 1 }] });
    await world.create("restless", { minimumIdle: 2, maximum: 2, idleState: "suspended" });
    const failing = await world.until("restless", "it waits", ({ shortfalls }) => shortfalls.some(({ code }) => code === "backing_off"));
    expect(failing.shortfalls.find(({ code }) => code === "backing_off")?.fault?.message).toMatch(/suspend/);
    allHosts({ faults: [] });
    await world.until("restless", "two sleep", ready(2));
    await world.end("restless", "end");
    await gone("restless");
  }, 300_000);

  it("is kept on when its workflow is ended in the web UI", async () => {
    await world.create("ended", { minimumIdle: 1, maximum: 2 });
    await world.until("ended", "it is full", ready(1));
    const { id } = await world.show("ended");
    await world.terminate(`pool/ended/${id}`);
    await world.lease("ended");
    await world.until("ended", "it fills again", (detail) => ready(1)(detail) && detail.leased === 1);
    await world.end("ended", "end");
    await gone("ended");
  }, 300_000);
});
