/**
 * What somebody does on a host by hand, and what happens to it by accident: believed, repaired or reported within 15 s.
 *
 * The one idea: nobody asks the hub for anything between the act and what the hub says of it.
 */
import { cp, mkdir, readdir, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pathOf } from "../../cli/client.ts";
import { Project } from "../../cli/wire.ts";
import { makeBundle } from "../../parallels/bundle/make.ts";
import { rebootSimulator } from "../../parallels/simulator/boots.ts";
import { machineFolderOf, refusalOf, simulatorOf } from "../e2e/faults.ts";
import { openStack, ownServers, type TestStack } from "../e2e/stack.ts";
import { openTruth, within, type World } from "./world.ts";

const host = "mac-1";
let stack: TestStack;
let world: World;
beforeAll(async () => {
  stack = await openStack({ ...(await ownServers()), DROVER_HOSTS: "1" });
  world = await openTruth(stack);
}, 180_000);
afterAll(() => stack?.close(), 60_000);

const exists = async (path: string | null) => (await stat(path ?? "").catch(() => null)) !== null;
const retire = (machine: string) => stack.json("machine", "retire", machine, "--force");
const outside = async (id: string, what: string) =>
  (await world.events(id)).filter(({ name, body }) => name === "machine.changed_outside" && body["what"] === what).map(({ body }) => body);

// Side by side: each waits for reports, and one report tells of all.
describe.concurrent("a machine that somebody", () => {
  it("stops by hand stays stopped, is wanted so, and is told once; started by hand it is wanted running", async () => {
    const prlctl = world.prlctl(host);
    const { id } = await world.make("power");
    await prlctl.stop(id, { mode: "kill" });
    await within("stopped by hand", async () => {
      const { desired, observed } = await world.show("power");
      return desired === "stopped" && observed === "stopped";
    });
    await prlctl.start(id);
    await within("started by hand", async () => {
      const { desired, observed } = await world.show("power");
      return desired === "running" && observed === "running";
    });
    await prlctl.suspend(id);
    await within("suspended by hand", async () => (await world.show("power")).desired === "suspended");
    expect((await outside(id, "desired")).map(({ before, after }) => [before, after])).toEqual([
      ["running", "stopped"],
      ["stopped", "running"],
      ["running", "suspended"],
    ]);
    expect(await world.operations(id, "start")).toEqual([]);
    await retire("power");
  }, 180_000);

  it("renames is called so in the hub where the name is free, and shown as different where it is not", async () => {
    const prlctl = world.prlctl(host);
    const [one, other] = [await world.make("first", ["--no-start"]), await world.make("second", ["--no-start"])];
    await prlctl.set(one.id, { name: "renamed" });
    await within("renamed by hand", async () => (await world.show(one.id)).name === "renamed");
    await prlctl.set(other.id, { name: "RENAMED" });
    const drifted = await within("a taken name", async () => (await world.show(other.id)).drift[0]);
    expect(drifted).toMatchObject({ kind: "name", message: expect.stringContaining("RENAMED") });
    expect((await world.show(other.id)).name).toBe("second");
    await retire("renamed");
    await within("the name is free again", async () => (await world.show(other.id)).name === "RENAMED");
    expect((await world.show(other.id)).drift).toEqual([]);
    await retire(other.id);
  }, 180_000);

  it("moves is found where it lies now, and retired there", async () => {
    const { id, bundlePath } = await world.make("moving", ["--no-start"]);
    const elsewhere = join(stack.home, "elsewhere");
    await mkdir(elsewhere);
    await move(id, elsewhere);
    const moved = join(elsewhere, basename(bundlePath ?? ""));
    await within("moved by hand", async () => (await world.show("moving")).bundlePath === moved);
    expect(await outside(id, "bundlePath")).toEqual([expect.objectContaining({ before: bundlePath, after: moved })]);
    await retire("moving");
    expect(await exists(moved)).toBe(false);
  }, 180_000);

  it("deletes is absent, says so with what to do, and can be retired", async () => {
    const prlctl = world.prlctl(host);
    const { id } = await world.make("deleted");
    await prlctl.stop(id, { mode: "kill" });
    await prlctl.remove(id);
    const drifted = await within("deleted by hand", async () => (await world.show("deleted")).drift.find(({ kind }) => kind === "absent"));
    expect(drifted.remedy).toContain("drover machine retire deleted");
    expect((await stack.drover("machine", "show", "deleted")).stdout).toContain(drifted.message);
    expect(await reservedBy(id)).toBe(false);
    await retire("deleted");
  }, 180_000);

  it("takes the bundle of is invalid, says so, and can be retired", async () => {
    const { bundlePath } = await world.make("gutted", ["--no-start"]);
    await rm(bundlePath ?? "", { recursive: true });
    const drifted = await within("bundle removed", async () => (await world.show("gutted")).drift[0]);
    expect(drifted.kind).toBe("invalid");
    await retire("gutted");
  }, 180_000);

  it("unregisters is shown with its bundle, and adopted again under its own id", async () => {
    const prlctl = world.prlctl(host);
    const { id, bundlePath } = await world.make("loose", ["--no-start"]);
    await prlctl.unregister(id);
    const drifted = await within("unregistered by hand", async () => (await world.show("loose")).drift[0]);
    expect(drifted).toMatchObject({ kind: "unregistered", message: expect.stringContaining(bundlePath ?? "") });
    await stack.json("machine", "adopt", id);
    expect(await world.show("loose")).toMatchObject({ id, observed: "stopped", desired: "stopped" });
    await within("as wanted again", async () => (await world.show("loose")).drift.length === 0);
    await retire("loose");
    expect(await exists(bundlePath)).toBe(false);
  }, 180_000);
});

describe("a copy that somebody makes of a machine", () => {
  it("is an orphan of its own: the first one's end leaves it, and it is adopted or retired by its id", async () => {
    const prlctl = world.prlctl(host);
    const { id, bundlePath } = await world.make("origin", ["--no-start"]);
    const { id: cloned } = await prlctl.clone(id, { name: "by-hand" });
    const backup = join(machineFolderOf(stack, host), "backup.pvm");
    await cp(bundlePath ?? "", backup, { recursive: true });
    const [registered, copied] = await within("both are orphans", async () => {
      const found = await world.orphans();
      const both = [found.find((one) => one.id === cloned), found.find(({ bundlePath: path }) => path === backup)];
      return both[0] && both[1] ? [both[0], both[1]] : null;
    });
    expect(registered).toMatchObject({ standing: "orphan", copyOf: id, name: "by-hand", unregistered: false });
    expect(copied).toMatchObject({ standing: "orphan", copyOf: id, unregistered: true });

    const limit = (memoryBytes: number | null) =>
      stack.client.send("PUT", pathOf("projects", "default", "quota"), Project, { body: { memoryBytes } });
    await limit((await stack.client.get(pathOf("projects", "default"), Project)).used.memoryBytes + 1024 ** 2);
    const adopting = ["machine", "adopt", copied?.id ?? "", "--name", "too-much", "--on-fault", "fail"];
    expect(await refusalOf(stack, ...adopting)).toMatchObject({ code: "quota_exceeded" });
    await limit(null);
    expect((await prlctl.inventory()).map(({ bundlePath: path }) => path)).not.toContain(backup);
    await within("the copy is as it was", async () => (await world.orphans()).find((one) => one.id === copied?.id && one.copyOf === id));

    await retire("origin");
    expect([await exists(bundlePath), await exists(backup), (await prlctl.find(cloned))?.state]).toEqual([false, true, "stopped"]);
    await stack.json("machine", "adopt", cloned);
    expect(await world.show("by-hand")).toMatchObject({ id: cloned, origin: "adopted", image: "base/1/arm64", observed: "stopped" });
    await stack.json("machine", "start", "by-hand");
    await stack.json("machine", "retire", copied?.id ?? "");
    expect(await exists(backup)).toBe(false);
    expect((await prlctl.find(cloned))?.state).toBe("running");
    await within("no orphans", async () => (await world.orphans()).length === 0);
    await retire("by-hand");
    expect(await prlctl.find(cloned)).toBeNull();
  }, 180_000);
});

describe("a machine of somebody else", () => {
  it("counts on its host, is never removed, and is the hub's only once it was adopted", async () => {
    const prlctl = world.prlctl(host);
    const facts = { kind: "pvm", osType: 9, osNumber: 2314, cpus: 15, memoryMegabytes: 256, diskBytes: 4 * 1024 ** 2 } as const;
    const { id, bundlePath } = await makeBundle({ folder: machineFolderOf(stack, host), name: "Private", ...facts });
    await prlctl.register(bundlePath, { uuid: id });
    await within("shown as foreign", async () => (await world.orphans()).find((one) => one.id === id && one.standing === "foreign"));
    expect(await refusalOf(stack, "machine", "retire", id)).toMatchObject({ code: "machine_foreign" });
    await prlctl.start(id);
    await within("seen running", async () => (await world.orphans()).find((one) => one.id === id && one.state === "running"));
    const create = ["machine", "create", "crowded", "--image", "base:1", "--cpus", "8", "--on-fault", "fail"];
    expect(await refusalOf(stack, ...create)).toMatchObject({ code: "no_capacity" });
    await stack.json("machine", "adopt", id);
    expect(await world.show("Private")).toMatchObject({ id, origin: "adopted", observed: "running", vcpus: 15 });
    await retire("Private");
    expect(await exists(bundlePath)).toBe(false);
  }, 180_000);
});

describe("a host that restarts", () => {
  it("gets its machines back as they were wanted: those that ran are started, those that stood still are not", async () => {
    const [ran, stood] = [await world.make("ran"), await world.make("stood", ["--no-start"])];
    await seenAsWanted(ran.id);
    const pid = stack.stack.pids()[host];
    process.kill(pid ?? 0, "SIGKILL");
    rebootSimulator(simulatorOf(stack, host));
    await within("a new host process", async () => (stack.stack.pids()[host] ?? pid) !== pid, 20_000);
    await within("started again", async () => (await world.operations(ran.id, "start")).find(({ state }) => state === "done"));
    expect(await world.show("ran")).toMatchObject({ desired: "running", observed: "running" });
    expect(await world.operations(ran.id, "start")).toMatchObject([{ actor: "system" }]);
    expect(await world.show("stood")).toMatchObject({ desired: "stopped", observed: "stopped" });
    const { id: hostId } = await stack.json<{ id: string }>("host", "show", host);
    expect((await world.events(hostId)).filter(({ name }) => name === "host.rebooted")).toHaveLength(1);
    expect(await outside(ran.id, "desired")).toEqual([]);
    for (const name of [ran.name, stood.name]) await retire(name);
  }, 180_000);
});

describe("what carries a mark of an older placement", () => {
  it("is removed where it is registered and where it only lies, and nothing else is", async () => {
    const prlctl = world.prlctl(host);
    const { id, bundlePath } = await world.make("twin", ["--no-start"]);
    // As after a placement elsewhere: the row knows a newer one.
    await query(`update machines set epoch = epoch + 1 where id = '${id}'`);
    await within("the twin is gone", async () => (await prlctl.find(id)) === null && !(await exists(bundlePath)));
    await within("it is told", async () => (await world.events(id)).some(({ name }) => name === "machine.twin"));
    await retire("twin");

    const other = await world.make("lying", ["--no-start"]);
    await prlctl.unregister(other.id);
    await query(`update machines set epoch = epoch + 1 where id = '${other.id}'`);
    await within("its bundle is gone", async () => !(await exists(other.bundlePath)));
    await retire("lying");
    expect(await readdir(machineFolderOf(stack, host))).toEqual([]);
  }, 180_000);

  it("is reported where the hub knows only an older one, and taken over by adopting it", async () => {
    const { id } = await world.make("newer", ["--no-start"]);
    // As after a database was restored.
    await query(`update machines set epoch = 1 where id = '${id}'`);
    await rewriteEpoch(id, 3);
    const drifted = await within("a newer placement", async () => (await world.show("newer")).drift[0]);
    expect(drifted).toMatchObject({ kind: "newer", remedy: expect.stringContaining("adopt") });
    await stack.json("machine", "adopt", id);
    expect(await world.show("newer")).toMatchObject({ epoch: 3, observed: "stopped" });
    await within("as wanted again", async () => (await world.show("newer")).drift.length === 0);
    await retire("newer");
  }, 180_000);
});

/** `prlctl move`, which the driver has no use for. */
async function move(id: string, dst: string): Promise<void> {
  const { execFile } = await import("node:child_process");
  const { promisify } = await import("node:util");
  await promisify(execFile)(join(simulatorOf(stack, host), "bin", "prlctl"), ["move", id, "--dst", dst]);
}

async function query(statement: string): Promise<readonly Record<string, unknown>[]> {
  const { default: postgres } = await import("postgres");
  const sql = postgres(stack.env["DATABASE_URL"] ?? "", { max: 1, onnotice: () => {} });
  return sql.unsafe(statement).finally(() => sql.end());
}

const reservedBy = async (id: string): Promise<boolean> =>
  (await query(`select runs from placements where machine_id = '${id}'`))[0]?.["runs"] === true;

/** A report has shown it running in this boot of its host. */
const seenAsWanted = (id: string) =>
  within("seen running", async () => (await query(`select 1 from machines where id = '${id}' and seen_boot is not null`)).length === 1);

async function rewriteEpoch(id: string, epoch: number): Promise<void> {
  const { readMark, writeMark } = await import("../../activities/host/mark.ts");
  const { bundlePath } = await world.show(id);
  const mark = await readMark(bundlePath ?? "");
  if (!mark) throw new Error(`${bundlePath} has no mark`);
  const { hubId, machineId, operationId } = mark;
  await writeMark(bundlePath ?? "", { hubId, machineId, operationId, epoch });
}
