/**
 * The life of images through the command line on the whole stack: versions and tags, retention, a collection that frees what nothing needs, rot that is found and healed
 * before anybody meets it.
 */
import { mkdir, readdir, readFile, realpath, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Client, Connection } from "@temporalio/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Operation } from "../../cli/wire.ts";
import { pushRecordPath } from "../../images/push-record.ts";
import { scanFolder } from "../../images/scan.ts";
import { writtenMark } from "../../images/seal.ts";
import { changeDisk } from "../../parallels/sample/change.ts";
import { makeSampleBundle, type Sample } from "../../parallels/sample/make.ts";
import { ownServers, openStack, type TestStack } from "./stack.ts";
import { refusalOf, settled } from "./faults.ts";

const mebibyte = 1024 ** 2;
let stack: TestStack;
let sample: Sample;
beforeAll(async () => {
  // No grace: what nothing needs may go with the next collection.
  const variables = { DROVER_HOSTS: "1", DROVER_COLLECT_GRACE: "0s", DROVER_COLLECT_EVERY: "1h", DROVER_SCRUB_EVERY: "0s" };
  stack = await openStack({ ...(await ownServers()), ...variables });
  const folder = join(stack.home, "hosts", "mac-1", "simulator", "Parallels");
  await mkdir(folder, { recursive: true });
  const path = process.env["PATH"] ?? "";
  sample = await makeSampleBundle({ folder, name: "Base", bytes: 32 * mebibyte, contentBytes: 8 * mebibyte, path });
}, 180_000);
afterAll(() => stack?.close(), 60_000);

const push = (version: string, ...more: string[]) =>
  stack.json<{ result: { digest: string } }>("push", sample.bundlePath, "base", "--version", version, "--host", "mac-1", ...more);
const show = (version: string) =>
  stack.json<{ tags: string[]; digest: string; generation: number; damagedAt: string | null }>("image", "show", `base:${version}`);
const packs = () => join(stack.home, "store", ".drover", "v1", "packs");

async function storedPacks(): Promise<string[]> {
  const found = await readdir(packs(), { recursive: true, withFileTypes: true });
  return found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

/** Changes a byte of the disk, and the host's record of its last push, so that the record has seen no change: as when a disk forgets what it was given. */
async function changeUnseen(): Promise<void> {
  const disk = (await readdir(sample.bundlePath, { recursive: true })).find((name) => name.endsWith(".hds")) ?? "";
  const file = join(sample.bundlePath, disk);
  const [bytes, { atime, mtime }] = await Promise.all([readFile(file), stat(file)]);
  bytes[bytes.byteLength - 1] = (bytes.at(-1) ?? 0) ^ 1;
  await writeFile(file, bytes);
  await utimes(file, atime, mtime);
  const { entries } = await scanFolder(sample.bundlePath);
  const marks = new Map(entries.map(({ path, mark }) => [path, writtenMark(mark)]));
  const record = pushRecordPath(join(stack.home, "hosts", "mac-1", "pushed"), await realpath(sample.bundlePath));
  const known = await readFile(record);
  const end = known.indexOf("\n");
  const head = JSON.parse(known.toString("utf8", 0, end)) as { entries: { path: string }[] };
  const told = { ...head, entries: head.entries.map((entry) => ({ ...entry, ...marks.get(entry.path) })) };
  await writeFile(record, Buffer.concat([Buffer.from(JSON.stringify(told)), known.subarray(end)]));
}

/** One bit of the pack's middle. */
async function flip(path: string): Promise<void> {
  const bytes = await readFile(path);
  const at = Math.floor(bytes.byteLength / 2);
  bytes[at] = (bytes[at] ?? 0) ^ 4;
  await writeFile(path, bytes);
}

describe("the life of images", () => {
  it("moves a tag from version to version, and latest with the newest", async () => {
    await push("1", "--tag", "stable");
    await changeDisk(sample.bundlePath, { bytes: 2 * mebibyte, path: process.env["PATH"] ?? "" });
    await push("2");
    expect((await show("1")).tags).toEqual(["stable"]);
    await stack.json("image", "tag", "base:2/arm64", "Stable");
    expect([(await show("1")).tags, (await show("2")).tags.toSorted()]).toEqual([[], ["Stable", "latest"]]);
    await stack.json("image", "untag", "base:2/arm64", "stable");
    expect((await show("2")).tags).toEqual(["latest"]);
  }, 120_000);

  it("reads with --verify also what changed behind the record of the last push", async () => {
    const { digest } = await show("2");
    await changeUnseen();
    await push("unseen");
    expect((await show("unseen")).digest).toBe(digest);
    await push("seen", "--verify");
    expect((await show("seen")).digest).not.toBe(digest);
    for (const version of ["unseen", "seen"]) await stack.json("image", "delete", `base:${version}`);
  }, 120_000);

  it("hands no tainted version out, and tells who tainted it", async () => {
    await stack.json("image", "edit", "base:1", "--description", "the first", "--min-cpus", "2");
    expect(await stack.json("image", "show", "base:1")).toMatchObject({ description: "the first", minimum: { vcpus: 2 } });
    await stack.json("image", "taint", "base:1");
    expect(await refusalOf(stack, "pull", "base:1", "--host", "mac-1")).toMatchObject({ code: "image_tainted" });
    await stack.json("image", "untaint", "base:1");
  }, 60_000);

  it("deletes what no rule keeps, after it said which that is and why", async () => {
    await push("0", "--tag", "old");
    await stack.json("image", "untag", "base:0", "old");
    await stack.json("image", "tag", "base:2", "latest");
    await stack.json("image", "tag", "base:1", "kept");
    await stack.json("image", "retention", "set", "--keep-newest", "1");
    const plan = await stack.json<Array<{ image: string; keep: boolean; why: string }>>("image", "retention", "apply", "--dry-run");
    expect(plan.filter(({ keep }) => !keep)).toEqual([]);
    await stack.json("image", "delete", "base:0");
    const after = await stack.json<Array<{ image: string; keep: boolean }>>("image", "retention", "apply", "--dry-run");
    expect(after.filter(({ keep }) => !keep)).toEqual([]);
    await stack.json("image", "untag", "base:1", "kept");
    expect(await stack.json("image", "retention", "apply")).toEqual({ deleted: ["base/1/arm64"], busy: [] });
  }, 120_000);

  it("frees what only deleted versions needed, as much as it had said, and leaves the rest whole", async () => {
    const before = await storedPacks();
    const foreseen = await stack.json<{ freedBytes: number; deadObjects: number }>("store", "gc", "--dry-run");
    expect(foreseen.deadObjects).toBeGreaterThan(0);
    expect(await storedPacks()).toEqual(before);
    // Condemned first; what was dead for longer than the grace goes.
    const freed: number[] = [];
    for (let n = 0; n < 2; n++) freed.push((await stack.json<{ removedBytes: number }>("store", "gc")).removedBytes);
    expect(freed.reduce((sum, bytes) => sum + bytes, 0)).toBeGreaterThanOrEqual(foreseen.freedBytes);
    expect(await stack.json("store", "check", "--read-data")).toMatchObject({ found: 0, orphans: 0 });
    await stack.json("pull", "base:2", "--host", "mac-1");
  }, 120_000);

  it("finds a flipped bit, marks the version, and has it healed by the host that has the image", async () => {
    const [victim = ""] = await Promise.all((await storedPacks()).map(async (path) => ({ path, bytes: (await stat(path)).size }))).then(
      (found) => found.toSorted((a, b) => b.bytes - a.bytes).map(({ path }) => path),
    );
    await flip(victim);
    const looked = await stack.drover("store", "check", "--read-data");
    expect(looked.code).toBe(6);
    expect(looked.stdout).toContain(victim.slice(-64));
    expect((await show("2")).damagedAt).not.toBeNull();
    const { generation } = await show("2");

    await expect
      .poll(async () => (await stack.drover("host", "show", "mac-1", "--json")).stdout.includes("digest"), { timeout: 30_000 })
      .toBe(true);
    const scrubbed = await stack.drover("store", "scrub", "--share", "100%", "--json");
    const { healing } = JSON.parse(scrubbed.stdout) as { healing: string[] };
    expect([scrubbed.code, healing.length]).toEqual([6, 1]);
    for (const id of healing) expect(await settled(stack, id)).toMatchObject({ state: "done" });
    expect(await show("2")).toMatchObject({ damagedAt: null, generation: generation + 1 });
    for (let n = 0; n < 2; n++) await stack.json("store", "gc");
    expect(await stack.json("store", "check", "--read-data")).toMatchObject({ found: 0, orphans: 0 });
  }, 180_000);

  it("is cared for by schedules too, which ask for the same operations", async () => {
    const connection = await Connection.connect({ address: stack.env["TEMPORAL_ADDRESS"] ?? "" });
    try {
      const client = new Client({ connection, namespace: stack.env["TEMPORAL_NAMESPACE"] ?? "" });
      // Switched off by its variable.
      await expect(client.schedule.getHandle("drover-scrub").describe()).rejects.toThrow();
      await client.schedule.getHandle("drover-collect").trigger();
      const asked = async () => {
        const found = await stack.client.list("/operations", Operation, { verb: "collect" });
        return found.find(({ actor, state }) => actor === "system" && state === "done")?.subject;
      };
      await expect.poll(asked, { timeout: 60_000 }).toBeDefined();
    } finally {
      await connection.close();
    }
  }, 90_000);
});
