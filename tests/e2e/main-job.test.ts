/** The main job through the command line on the whole stack, with each kind of store: what arrives is what was pushed, and nothing is left behind. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { changeDisk } from "../../parallels/sample/change.ts";
import { makeSampleBundle, type Sample } from "../../parallels/sample/make.ts";
import { startS3Server, type S3Server } from "../stores/s3-server.ts";
import { expectEqualDisks } from "./disks.ts";
import { openStack, type TestStack } from "./stack.ts";

const mebibyte = 1024 ** 2;
const path = process.env["PATH"] ?? "";
let s3: S3Server;
let bucket = "";
beforeAll(async () => {
  s3 = await startS3Server();
  bucket = await s3.makeBucket();
}, 180_000);
afterAll(() => s3.stop());

interface Pushed {
  result: { newBytes: number; storedBytes: number; digest: string };
}
interface Shown {
  id: string;
  hostId: string;
  bundlePath: string;
  addresses: string[];
  observed: string;
}

describe.each([
  { store: "folder", variables: () => ({}) },
  {
    store: "S3",
    variables: () => ({
      DROVER_STORE: `s3://${bucket}/images?endpoint=${encodeURIComponent(s3.endpoint)}`,
      DROVER_STORE_ACCESS_KEY: s3.accessKey,
      DROVER_STORE_SECRET_KEY: s3.secretKey,
    }),
  },
])("the main job with a $store store", ({ variables }) => {
  let stack: TestStack;
  let sample: Sample;
  let machine: Shown;
  beforeAll(async () => {
    stack = await openStack(variables());
    sample = await makeSampleBundle({
      folder: join(stack.home, "own"),
      name: "Base",
      bytes: 128 * mebibyte,
      contentBytes: 40 * mebibyte,
      path,
    });
  }, 180_000);
  afterAll(() => stack?.close(), 60_000);

  it("pushes a bundle that lies on the caller's own computer", async () => {
    const { result } = await stack.json<Pushed>("push", sample.bundlePath, "base", "--version", "1.0");
    expect(result.newBytes).toBeGreaterThan(mebibyte);
    expect(result.newBytes).toBe(result.storedBytes);
  }, 180_000);

  it("sends nothing when the same content is pushed again under another version", async () => {
    const { result } = await stack.json<Pushed>("push", sample.bundlePath, "base", "--version", "1.0-again");
    expect(result.newBytes).toBe(0);
  }, 180_000);

  it("refuses other content under a version that exists, unless told to replace", async () => {
    const other = await makeSampleBundle({
      folder: join(stack.home, "own"),
      name: "Other",
      bytes: 32 * mebibyte,
      contentBytes: mebibyte,
      path,
      content: "pattern",
    });
    const refused = await stack.drover("push", other.bundlePath, "base", "--version", "1.0");
    expect(refused.stderr).toContain("image_exists");
    await stack.json("push", other.bundlePath, "base", "--version", "1.0-again", "--replace");
  }, 180_000);

  it("brings the image to a second host, once", async () => {
    const first = await stack.json<{ result: { fetchedBytes: number } }>("pull", "base:1.0", "--host", "mac-2");
    const second = await stack.json<{ result: { fetchedBytes: number; wasCached: boolean } }>("pull", "base:1.0", "--host", "mac-2");
    expect(first.result.fetchedBytes).toBeGreaterThan(mebibyte);
    expect(second.result).toMatchObject({ fetchedBytes: 0, wasCached: true });
  }, 180_000);

  it("provisions a machine on the host that has the image, with a disk equal to the pushed one", async () => {
    await stack.json("machine", "create", "ci-1", "--image", "base:1.0", "--cpus", "2", "--memory", "1G");
    machine = await stack.json<Shown>("machine", "show", "ci-1");
    const host = await stack.json<{ name: string }>("host", "show", machine.hostId);
    expect(host.name).toBe("mac-2");
    expect(machine).toMatchObject({ observed: "running", addresses: [expect.stringMatching(/^10\./)] });
    await expectEqualDisks(sample.bundlePath, machine.bundlePath);
  }, 180_000);

  it("runs a command in the guest and ends with its exit code", async () => {
    const ran = await stack.drover("machine", "exec", "ci-1", "--", "sh -c 'echo out; echo err >&2; exit 7'");
    expect(ran).toMatchObject({ code: 7, stdout: "out\n" });
    expect(ran.stderr).toContain("err");
  }, 180_000);

  it("pushes what a guest changed as a second version from its host, and little travels", async () => {
    await stack.json("machine", "stop", "ci-1");
    await changeDisk(machine.bundlePath, { bytes: 2 * mebibyte, path });
    const { result } = await stack.json<Pushed>("push", machine.bundlePath, "base", "--version", "1.1", "--host", "mac-2");
    expect(result.newBytes).toBeGreaterThan(mebibyte);
    expect(result.newBytes).toBeLessThan(result.storedBytes / 3);
  }, 180_000);

  it("brings that version to the other host as it is", async () => {
    await stack.json(
      "machine",
      "create",
      "ci-2",
      "--image",
      "base:1.1",
      "--host",
      "mac-1",
      "--no-start",
      "--cpus",
      "1",
      "--memory",
      "512M",
    );
    const { bundlePath } = await stack.json<Shown>("machine", "show", "ci-2");
    await expectEqualDisks(machine.bundlePath, bundlePath);
  }, 180_000);

  it("retires machines so that nothing of them is left", async () => {
    await Promise.all([stack.json("machine", "delete", "ci-1"), stack.json("machine", "delete", "ci-2")]);
    expect(await stack.json("machine", "list")).toEqual([]);
    for (const host of ["mac-1", "mac-2"]) expect(await bundlesOf(stack, host)).toEqual([]);
  }, 180_000);
});

async function bundlesOf(stack: TestStack, host: string): Promise<string[]> {
  const { facts } = await stack.json<{ facts: { machineFolder: string } }>("host", "show", host);
  return (await readdir(facts.machineFolder)).filter((name) => name.includes(".pvm"));
}
