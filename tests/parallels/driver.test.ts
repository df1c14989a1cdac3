/** The driver on a simulated Mac, verb by verb. */
import { readFile, readdir, stat } from "node:fs/promises";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { readDescriptor } from "../../parallels/bundle/descriptor.ts";
import { locatePrlctl } from "../../parallels/locate.ts";
import { calm, codeOf as code, eventually, simulatedMac, startAndWait, stateOf, type Mac } from "./mac.ts";

// A call takes 40 ms, and twenty times that on a computer with much else to do.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let mac: Mac;
beforeAll(async () => void (mac = await simulatedMac()));
afterAll(() => mac.remove());
beforeEach(() => calm(mac));

describe("what the host says", () => {
  it("tells version, server and licence", async () => {
    expect(await mac.prlctl.version()).toEqual({ name: "20.2.0", build: "55872" });
    expect(await mac.prlctl.serverInfo()).toMatchObject({
      hostName: "mac-1",
      os: "macOS 15.2(24C101)",
      vmHome: mac.machines,
      licence: { state: "valid", valid: true },
    });
    mac.control({ licence: "expired", noiseBeforeJson: true });
    expect((await mac.prlctl.serverInfo()).licence.valid).toBe(false);
  });

  it("is found on PATH or where it is said to be, and nowhere else", async () => {
    const folder = join(mac.home, "bin");
    expect(await locatePrlctl({ path: `/nowhere:${folder}` })).toEqual(mac.prlctl.paths);
    expect(await locatePrlctl({ given: mac.prlctl.paths.prlctlPath, path: "" })).toEqual(mac.prlctl.paths);
    expect(await locatePrlctl({ given: join(mac.home, "prlctl"), path: folder })).toBeNull();
  });
});

describe("the life of a machine", () => {
  it("is registered under the id that the caller chose, and forgotten with its bundle kept", async () => {
    const id = await mac.machine("kept");
    const uuid = crypto.randomUUID();
    const { bundlePath } = (await mac.prlctl.find(id)) ?? {};
    await mac.prlctl.unregister(id);
    await mac.prlctl.register(String(bundlePath), { uuid, regenerateSourceUuid: true });
    expect(await mac.prlctl.find("kept")).toMatchObject({
      id: uuid,
      name: "kept",
      bundlePath,
      state: "stopped",
      cpus: 2,
      memoryBytes: 1024 ** 3,
      isMacOS: false,
    });
    expect(await readFile(join(String(bundlePath), "config.pvs"), "utf8")).toContain(`<VmUuid>{${uuid}}</VmUuid>`);
    expect(await code(mac.prlctl.register(String(bundlePath), { uuid }))).toBe("machine_exists");
    expect(await mac.prlctl.find(id)).toBeNull();
    expect(await mac.prlctl.find(`{${uuid.toUpperCase()}}`)).not.toBeNull();
    await mac.prlctl.unregister(uuid);
    expect((await stat(String(bundlePath))).isDirectory()).toBe(true);
  });

  it("goes through start, suspend, resume, pause, restart, reset and stop", async () => {
    const id = await mac.machine("lively");
    const settles = (state: string) => eventually(async () => (await stateOf(mac.prlctl, id)) === state);
    await mac.prlctl.start(id);
    await settles("running");
    expect(await eventually(async () => (await mac.prlctl.list()).find((machine) => machine.id === id)?.address)).toMatch(
      /^10\.211\.55\.\d+$/,
    );
    expect((await mac.prlctl.find(id))?.addresses).toHaveLength(1);
    await mac.prlctl.suspend(id);
    await settles("suspended");
    await mac.prlctl.resume(id);
    await settles("running");
    await mac.prlctl.pause(id);
    await settles("paused");
    await mac.prlctl.resume(id);
    await mac.prlctl.restart(id);
    await mac.prlctl.reset(id);
    await mac.prlctl.stop(id, { mode: "graceful" });
    expect(await stateOf(mac.prlctl, id)).toBe("stopped");
    expect((await mac.prlctl.find(id))?.addresses).toEqual([]);
  });

  it("shows an address only when it is reachable from outside", async () => {
    const id = await mac.machine("booting");
    mac.control({ times: { startMs: 0, addressMs: 60_000 } });
    await mac.prlctl.start(id);
    expect(execFileSync(mac.prlctl.paths.prlctlPath, ["list", "-f", id], { encoding: "utf8" })).toContain("fe80::");
    expect((await mac.prlctl.list()).find((machine) => machine.id === id)).toMatchObject({ state: "running", address: null });
    expect((await mac.prlctl.find(id))?.addresses).toEqual([]);
    await mac.prlctl.stop(id, { mode: "kill" });
  });

  it("drops the state of a suspended machine only when asked to", async () => {
    const id = await mac.machine("asleep");
    await startAndWait(mac.prlctl, id);
    await mac.prlctl.suspend(id);
    expect(await code(mac.prlctl.stop(id, { mode: "graceful" }))).toBe("machine_state");
    await mac.prlctl.stop(id, { mode: "drop-state" });
    expect(await stateOf(mac.prlctl, id)).toBe("stopped");
  });

  it("removes a stopped machine with its bundle and refuses a running one", async () => {
    const id = await mac.machine("doomed");
    await startAndWait(mac.prlctl, id);
    expect(await code(mac.prlctl.remove(id))).toBe("machine_state");
    await mac.prlctl.stop(id, { mode: "kill" });
    await mac.prlctl.remove(id);
    expect(await readdir(mac.machines)).not.toContain("doomed.pvm");
    expect(await code(mac.prlctl.remove(id))).toBe("machine_not_found");
  });
});

describe("clones", () => {
  it("make another machine with its own id, MAC address and files, and report progress", async () => {
    const source = await mac.prlctl.find(await mac.machine("source"));
    const percents: number[] = [];
    const clone = await mac.prlctl.clone("source", {
      name: "copy",
      dst: join(mac.home, "elsewhere"),
      onProgress: (percent) => percents.push(percent),
    });
    expect(clone).toMatchObject({ name: "copy", bundlePath: join(mac.home, "elsewhere", "copy.pvm"), state: "stopped" });
    expect([clone.id, clone.macAddress]).not.toContain(source?.id);
    expect(clone.macAddress).not.toBe(source?.macAddress);
    expect(percents.at(-1)).toBe(100);
  });

  it("point into their source when linked, below a snapshot that the source gets", async () => {
    const source = await mac.machine("linked source");
    const clone = await mac.prlctl.clone(source, { name: "linked", linked: true });
    const layout = readDescriptor(await readFile(join(String(clone.bundlePath), "harddisk1.hdd", "DiskDescriptor.xml"), "utf8"));
    expect(layout.images.map(({ file }) => file.startsWith(join(mac.machines, "linked source.pvm")))).toEqual([false, true]);
    const [snapshot] = await mac.prlctl.snapshotList(source);
    expect(snapshot).toMatchObject({ name: "Snapshot for linked clone", state: "poweroff" });
    expect(await code(mac.prlctl.snapshotRemove(source, { snapshotId: String(snapshot?.id) }))).toBe("prlctl_failed");
  });

  it("refuse a running source, and a name that is taken", async () => {
    const id = await mac.machine("busy source");
    expect(await code(mac.prlctl.clone(id, { name: "busy source" }))).toBe("machine_exists");
    await startAndWait(mac.prlctl, id);
    expect(await code(mac.prlctl.clone(id, { name: "never" }))).toBe("machine_state");
    await mac.prlctl.stop(id, { mode: "kill" });
  });
});

describe("settings", () => {
  it("change name, size, description, MAC address and options", async () => {
    const id = await mac.machine("before");
    const before = await mac.prlctl.find(id);
    await mac.prlctl.set(id, {
      name: "after",
      description: `it's "ours" & <fine>`,
      cpus: 6,
      memoryBytes: 3 * 1024 ** 3,
      macAddress: "auto",
      options: [{ flag: "startup-view", value: "headless" }],
    });
    const after = await mac.prlctl.find(id);
    expect(after).toMatchObject({
      name: "after",
      description: `it's "ours" & <fine>`,
      cpus: 6,
      memoryBytes: 3 * 1024 ** 3,
      bundlePath: join(mac.machines, "after.pvm"),
    });
    expect(after?.macAddress).toMatch(/^001C42[0-9A-F]{6}$/);
    expect(after?.macAddress).not.toBe(before?.macAddress);
    expect(after?.raw["Startup and Shutdown"]).toMatchObject({ "Startup view": "headless" });
    await mac.prlctl.set(id, { macAddress: "00:1c:42:0a:0b:0c" });
    expect((await mac.prlctl.find(id))?.macAddress).toBe("001C420A0B0C");
  });

  it("add, change and delete devices and shared folders", async () => {
    const id = await mac.machine("devices");
    await mac.prlctl.set(id, {
      options: [
        { flag: "device-add", value: "hdd" },
        { flag: "size", value: "64" },
      ],
    });
    await mac.prlctl.set(id, {
      options: [
        { flag: "device-set", value: "hdd0" },
        { flag: "size", value: "128" },
      ],
    });
    expect((await mac.prlctl.find(id))?.diskBytes).toBe((64 + 128) * 1024 ** 2);
    await mac.prlctl.set(id, { options: [{ flag: "device-del", value: "hdd1" }] });
    expect((await mac.prlctl.find(id))?.diskBytes).toBe(128 * 1024 ** 2);
    await mac.prlctl.set(id, {
      options: [
        { flag: "shf-host-add", value: "code" },
        { flag: "path", value: "/src" },
      ],
    });
    expect((await mac.prlctl.find(id))?.raw["Host Shared Folders"]).toMatchObject({ code: { path: "/src", mode: "rw" } });
    expect(await code(mac.prlctl.set(id, { options: [{ flag: "device-del", value: "fdd0" }] }))).toBe("prlctl_failed");
  });

  it("never let a value pass as an option", async () => {
    const id = await mac.machine("guarded");
    for (const changes of [
      { name: "--kill" },
      { description: "-x" },
      { name: "a\0b" },
      { options: [{ flag: "-x" }] },
      { macAddress: "12" },
      { memoryBytes: 1.5 },
    ])
      expect(await code(mac.prlctl.set(id, changes))).toBe("argument_refused");
    expect(await code(mac.prlctl.start("--version"))).toBe("argument_refused");
    expect(await code(mac.prlctl.register("relative.pvm", { uuid: id }))).toBe("argument_refused");
    expect(await code(mac.prlctl.register("/x.pvm", { uuid: "no" }))).toBe("argument_refused");
  });
});

describe("snapshots and pictures", () => {
  it("are created, listed, reverted to and removed, and leave a disk that holds the same", async () => {
    const id = await mac.machine("snapped");
    expect(await mac.prlctl.snapshotList(id)).toEqual([]);
    const first = await mac.prlctl.snapshotCreate(id, { name: "first", description: "<one>" });
    const second = await mac.prlctl.snapshotCreate(id, { name: "second" });
    expect(await mac.prlctl.snapshotList(id)).toMatchObject([
      { id: first, name: "first", parentId: null, current: false },
      { id: second, parentId: first, current: true },
    ]);
    await mac.prlctl.snapshotRevert(id, { snapshotId: first, resume: true });
    expect((await mac.prlctl.snapshotList(id)).find(({ current }) => current)?.id).toBe(first);
    await mac.prlctl.snapshotRemove(id, { snapshotId: first });
    expect(await mac.prlctl.snapshotList(id)).toMatchObject([{ id: second, parentId: null }]);
    expect(await code(mac.prlctl.snapshotRemove(id, { snapshotId: first }))).toBe("snapshot_not_found");
    await mac.prlctl.snapshotRemove(id, { snapshotId: second, children: true });
    expect(await readdir(join(mac.machines, "snapped.pvm", "harddisk1.hdd"))).toHaveLength(4);
  });

  it("bring a machine back to how it ran, or leave it suspended", async () => {
    const id = await mac.machine("snapped while running");
    await startAndWait(mac.prlctl, id);
    const snapshotId = await mac.prlctl.snapshotCreate(id, { name: "running" });
    await mac.prlctl.stop(id, { mode: "kill" });
    await mac.prlctl.snapshotRevert(id, { snapshotId, resume: false });
    expect(await stateOf(mac.prlctl, id)).toBe("suspended");
    await mac.prlctl.snapshotRevert(id, { snapshotId, resume: true });
    expect(await stateOf(mac.prlctl, id)).toBe("running");
    const pngPath = join(mac.home, "screen.png");
    await mac.prlctl.capture(id, { pngPath });
    expect((await readFile(pngPath)).subarray(1, 4).toString()).toBe("PNG");
    await mac.prlctl.stop(id, { mode: "kill" });
    expect(await code(mac.prlctl.capture(id, { pngPath }))).toBe("machine_state");
  });
});
