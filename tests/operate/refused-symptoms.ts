/** What is refused with a code and a remedy, and leaves nothing: an image that was revoked, a wrong bundle, a machine that no host has room for. */
import { cp, mkdir, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Machine } from "../../domain/machines/schema.ts";
import { controlSimulator, usualControl } from "../../parallels/simulator/control.ts";
import { cacheOf, decide, parkedAt, refusalOf, settled, simulatorOf } from "../e2e/faults.ts";
import { host, machines, revoke, small, type World } from "./world.ts";

export function revokedSymptoms(world: () => World): void {
  const section = "The image was revoked meanwhile";
  it("fails a pull and a machine whose image was revoked between request and begin, and leaves nothing", async () => {
    const { stack, start, type, publish } = world();
    await publish("revoked", 4);
    const hub = stack.stack.pids()["hub"] ?? 0;
    process.kill(hub, "SIGSTOP");
    const [pull, machine] = await Promise.all([
      start("pull", "revoked:1", "--host", host),
      start("machine", "create", "late", "--image", "revoked:1", ...small),
    ]).finally(() => revoke(world(), "revoked").finally(() => process.kill(hub, "SIGCONT")));
    for (const { id } of [pull, machine])
      expect(await settled(stack, id)).toMatchObject({ state: "failed", fault: { code: "image_revoked" } });
    await type(section, `drover operation show ${machine.id}`);
    await type(section, `drover pull revoked:1 --host ${host}`);
    expect(await stack.json("machine", "list")).toEqual([]);
  }, 180_000);

  it("makes no machine of an image that was revoked while a step of it was parked", async () => {
    const { stack, start, publish } = world();
    await publish("recalled", 2);
    controlSimulator(simulatorOf(stack, host), { licence: "expired" });
    const { id, workflowId } = await start("machine", "create", "recalled", "--image", "recalled:1", ...small);
    expect(await parkedAt(stack, id)).toEqual({ step: "start", code: "licence_expired" });
    await revoke(world(), "recalled");
    controlSimulator(simulatorOf(stack, host), { ...usualControl });
    await decide(stack, workflowId, "retry");
    const { state, fault, image } = await settled(stack, id, 40_000);
    expect({ state, code: fault?.code, image }).toEqual({ state: "failed", code: "image_revoked", image: "recalled/1/arm64" });
    await rm(join(cacheOf(stack, host), (await stack.json<{ digest: string }>("image", "show", "recalled:1")).digest), { recursive: true });
  }, 180_000);
}

export function wrongBundleSymptoms(world: () => World): void {
  const section = "The bundle is refused";
  it("refuses what is no bundle: a folder with something else, a file, nothing", async () => {
    const { stack, type } = world();
    const own = join(stack.home, "own");
    await mkdir(join(own, "Notes.pvm"), { recursive: true });
    await writeFile(join(own, "Notes.pvm", "notes.txt"), "no machine");
    await writeFile(join(own, "File.pvm"), "no folder");
    await type(section, "drover bundle check .drover/own/Notes.pvm");
    await type(section, "drover push .drover/own/Notes.pvm none --quiet");
    expect(await refusalOf(stack, "push", join(own, "File.pvm"), "none")).toMatchObject({
      exit: 6,
      message: expect.stringContaining("File.pvm"),
    });
    expect(await refusalOf(stack, "push", join(own, "nowhere.pvm"), "none")).toMatchObject({ exit: 4, code: "bundle_not_found" });
    expect(await stack.json("image", "list", "none")).toEqual([]);
  }, 180_000);

  it("refuses a linked clone, whose disk lies in another machine", async () => {
    const { stack, type, sample } = world();
    const base = await sample("Model", 2);
    const linked = join(stack.home, "own", "Linked.pvm");
    await cp(base, linked, { recursive: true });
    const descriptor = join(linked, await diskOf(linked), "DiskDescriptor.xml");
    const xml = await readFile(descriptor, "utf8");
    await writeFile(descriptor, xml.replace(/<File>([^<]*)<\/File>/, `<File>${join(base, await diskOf(base), "disk.hds")}</File>`));
    await type(section, "drover push .drover/own/Linked.pvm linked --quiet");
    expect(await stack.json("image", "list", "linked")).toEqual([]);
  }, 180_000);

  it("refuses a bundle whose disk is cut short", async () => {
    const { stack, type, sample } = world();
    const cut = await sample("Cut", 4);
    const folder = join(cut, await diskOf(cut));
    const image = (await readdir(folder)).find((name) => name.endsWith(".hds")) ?? "";
    const file = await open(join(folder, image), "r+");
    await file.truncate(3 * 1024 ** 2);
    await file.close();
    await type(section, "drover push .drover/own/Cut.pvm cut --quiet");
    expect(await stack.json("image", "list", "cut")).toEqual([]);
  }, 180_000);

  it("refuses the bundle of a machine that runs, seen from its host", async () => {
    const { stack, type } = world();
    await stack.json("machine", "create", "busy", "--image", "base:1", ...small);
    await type(section, `drover push ${join(stack.home, machines, "busy.pvm")} running --host ${host} --quiet`);
    await stack.json("machine", "delete", "busy", "--force");
    expect(await stack.json("image", "list", "running")).toEqual([]);
  }, 180_000);
}

export function noRoomSymptom(world: () => World): void {
  const section = "No host has room";
  it("lets a machine that no host has room for wait, says why, and fails one that may not wait with the same words", async () => {
    const { stack, type } = world();
    await type(section, "drover machine create huge --image base:1 --cpus 400 --memory 900G --detach --quiet > /dev/null");
    const pending = async () => (await stack.json<Machine>("machine", "show", "huge")).pending;
    await expect.poll(pending, { timeout: 60_000 }).toMatchObject({ priority: 0, ahead: 0, hosts: [{ host }] });
    await type(section, "drover machine why huge");
    await type(section, "drover machine create vast --image base:1 --cpus 400 --memory 900G --wait-for-room 0s --quiet");
    const vast = ["machine", "create", "vast", "--image", "base:1", "--cpus", "400", "--wait-for-room", "0s"];
    expect(await refusalOf(stack, ...vast)).toMatchObject({ code: "no_capacity" });
    await stack.json("machine", "delete", "huge");
    expect(await stack.json("machine", "list")).toEqual([]);
  }, 180_000);
}

const diskOf = async (bundle: string): Promise<string> => (await readdir(bundle)).find((name) => name.endsWith(".hdd")) ?? "";
