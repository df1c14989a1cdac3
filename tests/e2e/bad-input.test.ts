/**
 * Bad input through the `drover` command on the whole stack: each piece is refused by a fault that says what is wrong with what, and leaves nothing behind.
 */
import { rm, symlink } from "node:fs/promises";
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
}, 180_000);
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
    180_000,
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
    180_000,
  );
});

describe("a bundle that cannot be pushed", () => {
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
  }, 180_000);
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
  }, 180_000);

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
  }, 180_000);
});

describe("a machine that cannot be made or changed now", () => {
  it("has the name of another, in other case", async () => {
    await stack.json("machine", "create", "taken", "--image", "base:1", "--no-start", "--cpus", "1", "--memory", "512M");
    const refused = await refusalOf(stack, "machine", "create", "TAKEN", "--image", "base:1");
    expect(refused).toMatchObject({ exit: 5, code: "machine_exists", message: expect.stringContaining("TAKEN") });
    await stack.json("machine", "delete", "taken");
  }, 180_000);

  it("is held by another operation, which the refusal names", async () => {
    await stack.json("machine", "create", "held", "--image", "base:1", "--no-start", "--cpus", "1", "--memory", "512M");
    controlSimulator(simulatorOf(stack, host), { times: { startMs: 3_000 } });
    const { id } = await stack.json<{ id: string }>("machine", "start", "held", "--detach");
    const refused = await refusalOf(stack, "machine", "rename", "held", "other");
    expect(refused).toMatchObject({ exit: 5, code: "machine_busy", message: expect.stringMatching(/held.*start/) });
    expect((await settled(stack, id)).state).toBe("done");
    controlSimulator(simulatorOf(stack, host), { times: { startMs: 150 } });
    await stack.json("machine", "delete", "held", "--force");
  }, 180_000);
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
