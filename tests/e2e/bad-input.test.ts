/**
 * Bad input through the `drover` command on the whole stack: each piece is refused by a fault that says what is wrong with what, and leaves nothing behind.
 */
import { cp, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { makeSampleBundle, type Sample } from "../../parallels/sample/make.ts";
import { controlSimulator } from "../../parallels/simulator/control.ts";
import { expectNothingLeft, machineFolderOf, onDiskOf, refusalOf, settled, simulatorOf } from "./faults.ts";
import { openStack, ownServers, type TestStack } from "./stack.ts";

const mebibyte = 1024 ** 2;
const host = "mac-1";

let stack: TestStack;
let sample: Sample;
/** What the stack holds when nothing is wrong. */
let before: { bundles: string[]; cached: string[] };

beforeAll(async () => {
  stack = await openStack({ ...(await ownServers()), DROVER_HOSTS: "1" });
  sample = await smallSample("Base");
  await stack.json("push", sample.bundlePath, "base", "--version", "1");
  await stack.json("pull", "base:1", "--host", host);
  before = await onDiskOf(stack, host);
}, 120_000);
afterAll(() => stack?.close(), 60_000);
afterEach(() => expectNothingLeft(stack, host, before), 30_000);

describe("wrong names", () => {
  const long = "x".repeat(300);
  it.each([
    { what: "a path", name: "../x" },
    { what: "300 characters", name: long },
    { what: "an emoji", name: "🐙" },
    { what: "nothing", name: "" },
    { what: "only dots", name: ".." },
  ])(
    "refuse an image and a version of $what, naming the field",
    async ({ name }) => {
      const [image, version] = await Promise.all([
        refusalOf(stack, "push", sample.bundlePath, name),
        refusalOf(stack, "push", sample.bundlePath, "base", "--version", name),
      ]);
      expect(image).toMatchObject({ exit: 2, message: expect.stringContaining("catalogId") });
      expect(version).toMatchObject({ exit: 2, message: expect.stringContaining("version") });
      const body = { path: sample.bundlePath, catalogId: name, version: "2" };
      expect(await answerTo("/images", body)).toMatchObject({
        status: 400,
        code: "invalid_request",
        message: expect.stringContaining("catalogId"),
      });
    },
    30_000,
  );

  it.each([
    { what: "a path", name: "../x" },
    { what: "300 characters", name: long },
    { what: "an emoji", name: "🐙" },
    { what: "a leading dot", name: ".x" },
    { what: "a leading dash", name: "-x" },
    { what: "a line break", name: "a\nb" },
    { what: "nothing", name: "" },
  ])(
    "refuse a machine of $what, naming the field",
    async ({ name }) => {
      const typed = await refusalOf(
        stack,
        "machine",
        "create",
        "--image",
        "base:1",
        ...(name.startsWith("-") ? [`--host=${name}`, "x"] : [name]),
      );
      expect(typed.exit).toBe(name.startsWith("-") ? 4 : 2);
      if (!name.startsWith("-")) expect(typed.message).toContain("name");
      const body = { name, image: { catalogId: "base", version: "1" } };
      expect(await answerTo("/machines", body)).toMatchObject({
        status: 400,
        code: "invalid_request",
        message: expect.stringContaining("name"),
      });
    },
    30_000,
  );
});

describe("a bundle that cannot be pushed", () => {
  it("is none at all: a folder with something else, a file, nothing", async () => {
    const folder = join(stack.home, "own", "Notes.pvm");
    await mkdir(folder);
    await writeFile(join(folder, "notes.txt"), "no machine");
    const file = join(stack.home, "own", "File.pvm");
    await writeFile(file, "no folder");
    expect(await refusalOf(stack, "push", folder, "none")).toMatchObject({
      exit: 6,
      code: "bundle_invalid",
      message: expect.stringMatching(/Notes\.pvm .*config\.pvs/),
    });
    expect(await refusalOf(stack, "push", file, "none")).toMatchObject({ exit: 6, message: expect.stringContaining("File.pvm") });
    expect(await refusalOf(stack, "push", join(stack.home, "nowhere.pvm"), "none")).toMatchObject({ exit: 4, code: "bundle_not_found" });
    await expectNoImage("none");
  }, 60_000);

  it("is a linked clone, whose disk lies in another machine", async () => {
    const linked = join(stack.home, "own", "Linked.pvm");
    await cp(sample.bundlePath, linked, { recursive: true });
    const disk = (await readdir(linked)).find((name) => name.endsWith(".hdd")) ?? "";
    const descriptor = join(linked, disk, "DiskDescriptor.xml");
    const xml = await readFile(descriptor, "utf8");
    await writeFile(descriptor, xml.replace(/<File>([^<]*)<\/File>/, `<File>${sample.imagePath}</File>`));
    const refused = await refusalOf(stack, "push", linked, "linked");
    expect(refused).toMatchObject({ exit: 6, code: "bundle_refused", message: expect.stringMatching(/linked clone.*full clone/) });
    await expectNoImage("linked");
  }, 30_000);

  it("lies outside the folders that its host gives away, also behind a link or behind dots", async () => {
    const folder = machineFolderOf(stack, host);
    const out = join(folder, "out");
    await symlink(sample.bundlePath, out);
    const paths = [sample.bundlePath, out, `${folder}/../../../../own/Base.pvm`, "/etc"];
    const refusals = await Promise.all(paths.map((path) => refusalOf(stack, "push", path, "outside", "--host", host)));
    await rm(out);
    for (const refused of refusals) expect(refused).toMatchObject({ exit: 6, code: "path_forbidden" });
    expect(await refusalOf(stack, "push", join(folder, "none.pvm"), "outside", "--host", host)).toMatchObject({ code: "bundle_not_found" });
    await expectNoImage("outside");
  }, 60_000);

  it("is that of a machine that runs, seen from its host", async () => {
    await stack.json("machine", "create", "busy", "--image", "base:1", "--cpus", "1", "--memory", "512M");
    const { bundlePath } = await stack.json<{ bundlePath: string }>("machine", "show", "busy");
    const refused = await refusalOf(stack, "push", bundlePath, "running", "--host", host);
    expect(refused).toMatchObject({ exit: 6, code: "bundle_refused", message: expect.stringContaining("running") });
    await stack.json("machine", "delete", "busy", "--force");
    await expectNoImage("running");
  }, 60_000);
});

describe("what does not exist", () => {
  it("is an unknown host", async () => {
    const asked = [
      ["pull", "base:1", "--host", "nowhere"],
      ["push", "/x.pvm", "base", "--host", "nowhere"],
      ["machine", "create", "x", "--image", "base:1", "--host", "nowhere"],
    ];
    for (const refused of await Promise.all(asked.map((words) => refusalOf(stack, ...words))))
      expect(refused).toMatchObject({ exit: 4, code: "host_not_found", message: expect.stringContaining("nowhere") });
  }, 30_000);

  it("is an unknown image, version or architecture", async () => {
    const asked = [
      ["pull", "nothing", "--host", host],
      ["pull", "base:9", "--host", host],
      ["machine", "create", "x", "--image", "base:1/x86_64"],
    ];
    for (const refused of await Promise.all(asked.map((words) => refusalOf(stack, ...words))))
      expect(refused).toMatchObject({
        exit: 4,
        code: "image_not_found",
        message: expect.stringMatching(/nothing|base\/9|base\/1\/x86_64/),
      });
  }, 30_000);
});

describe("a store that lost or spoiled a pack", () => {
  it.each([
    { what: "says which object is missing", code: "store_object_missing", spoil: (pack: string) => rename(pack, `${pack}.away`) },
    { what: "says which content is broken", code: "content_corrupt", spoil: flipBytes },
  ])(
    "$what when the image is wanted, and shows nothing of it",
    async ({ code, spoil }) => {
      const name = code.replaceAll("_", "-");
      const { bundlePath } = await smallSample(name);
      const packsBefore = await packs();
      await stack.json("push", bundlePath, name, "--version", "1");
      const own = (await packs()).filter((pack) => !packsBefore.includes(pack));
      for (const pack of own) await spoil(pack);

      // Both want the image at once: they share the transfer and its fault.
      const refusals = await Promise.all([
        refusalOf(stack, "pull", `${name}:1`, "--host", host),
        refusalOf(stack, "machine", "create", name, "--image", `${name}:1`, "--cpus", "1", "--memory", "512M"),
      ]);
      const hashes = own.map((pack) => pack.split("/").at(-1) ?? "");
      for (const refused of refusals) expect(refused).toMatchObject({ exit: 6, code, message: expect.stringMatching(hashes.join("|")) });
      expect(await stack.json("machine", "list")).toEqual([]);
    },
    60_000,
  );
});

describe("a machine that cannot be made or changed now", () => {
  it("has the name of another, in other case", async () => {
    await stack.json("machine", "create", "taken", "--image", "base:1", "--no-start", "--cpus", "1", "--memory", "512M");
    const refused = await refusalOf(stack, "machine", "create", "TAKEN", "--image", "base:1");
    expect(refused).toMatchObject({ exit: 5, code: "machine_exists", message: expect.stringContaining("TAKEN") });
    await stack.json("machine", "delete", "taken");
  }, 30_000);

  it("is larger than what any host has left, and each host says what it lacks", async () => {
    const refused = await refusalOf(stack, "machine", "create", "huge", "--image", "base:1", "--cpus", "400", "--memory", "900G");
    expect(refused).toMatchObject({
      code: "no_capacity",
      message: expect.stringMatching(/mac-1 has \d+ of 400 vCPU free, has \d+ of \d+ MiB memory/),
    });
    expect(await stack.json("machine", "list")).toEqual([]);
  }, 30_000);

  it("is held by another operation, which the refusal names", async () => {
    await stack.json("machine", "create", "held", "--image", "base:1", "--no-start", "--cpus", "1", "--memory", "512M");
    controlSimulator(simulatorOf(stack, host), { times: { startMs: 3_000 } });
    const { id } = await stack.json<{ id: string }>("machine", "start", "held", "--detach");
    const refused = await refusalOf(stack, "machine", "rename", "held", "other");
    expect(refused).toMatchObject({ exit: 5, code: "machine_busy", message: expect.stringMatching(/held.*start/) });
    expect((await settled(stack, id)).state).toBe("done");
    controlSimulator(simulatorOf(stack, host), { times: { startMs: 150 } });
    await stack.json("machine", "delete", "held", "--force");
  }, 60_000);
});

const smallSample = (name: string): Promise<Sample> =>
  makeSampleBundle({
    folder: join(stack.home, "own"),
    name,
    bytes: 32 * mebibyte,
    contentBytes: 8 * mebibyte,
    path: "",
    content: "pattern",
  });

async function expectNoImage(catalogId: string): Promise<void> {
  expect(await stack.json("image", "list", catalogId)).toEqual([]);
}

async function packs(): Promise<string[]> {
  const folder = join(stack.home, "store", ".drover", "v1", "packs");
  return (await readdir(folder, { recursive: true })).filter((name) => name.includes("/")).map((name) => join(folder, name));
}

/** A byte of each MiB, so that every chunk that is read has a good chance to be met. */
async function flipBytes(pack: string): Promise<void> {
  const bytes = await readFile(pack);
  for (let at = 1000; at < bytes.length; at += 65_536) bytes.writeUInt8(bytes.readUInt8(at) ^ 0xff, at);
  await writeFile(pack, bytes);
}

/** What the REST API itself says, to clients that check nothing before they ask. */
async function answerTo(path: string, body: unknown): Promise<{ status: number; code: string; message: string }> {
  const { url, session } = stack.client;
  const authorisation = await session.headers();
  const answer = await fetch(`${url}/api/v2${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...authorisation },
    body: JSON.stringify(body),
  });
  return { status: answer.status, ...((await answer.json()) as { code: string; message: string }) };
}
