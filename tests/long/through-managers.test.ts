/**
 * An image pushed through a catalog manager from one hub to another, each with servers, hosts and a catalog of its own.
 *
 * The one idea: nothing stands in between but the store that both reach, so what comes out of the second hub is compared with what went into the first, byte
 * for byte.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { makeSampleBundle } from "../../parallels/sample/make.ts";
import { expectEqualDisks } from "../e2e/disks.ts";
import { openStack, ownServers, type TestStack } from "../e2e/stack.ts";

const run = promisify(execFile);
const mebibyte = 1024 ** 2;
const password = "Correct-horse-9!";
const hub = async () => openStack({ ...(await ownServers()), ROOT_PASSWORD: password, DROVER_HOSTS: "1", URL_WHITELIST: "127.0.0.1" });

let near: TestStack;
let far: TestStack;
beforeAll(async () => {
  near = await hub();
  far = await hub();
}, 600_000);
afterAll(async () => {
  await far?.close();
  await near?.close();
}, 120_000);

interface Facts {
  readonly facts: { readonly machineFolder: string; readonly architecture: string };
}

/** Every file below the folder by its path, as the digest of what it holds. */
async function contentOf(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name));
  const told = files.map(async (file) => [
    file.slice(folder.length),
    createHash("sha256")
      .update(await readFile(file))
      .digest("hex"),
  ]);
  return Object.fromEntries(await Promise.all(told));
}

it("comes out of the other hub bit for bit as it went in, as an archive and as a machine", async () => {
  const { machineFolder, architecture } = (await near.json<Facts & Record<string, unknown>>("host", "show", "mac-1")).facts;
  const { bundlePath } = await makeSampleBundle({
    folder: join(machineFolder, "golden"),
    name: "Golden",
    bytes: 256 * mebibyte,
    contentBytes: 64 * mebibyte,
    path: process.env["PATH"] ?? "",
    content: "pattern",
  });
  const [secret, connection] = [join(near.home, "far-login"), join(near.home, "meeting-place")];
  await writeFile(secret, `username=root\npassword=${password}\n`, { mode: 0o600 });
  await writeFile(connection, `provider=local-storage;catalog_path=${join(near.home, "both-reach")}`, { mode: 0o600 });
  await near.json("catalog-manager", "add", "far", far.client.url, "--credentials-file", secret);
  const push = [
    "push",
    "far",
    bundlePath,
    "sent",
    "--version",
    "1",
    "--host",
    "mac-1",
    "--connection-file",
    connection,
    "--on-fault",
    "fail",
  ];
  const sent = { done: await near.json("catalog-manager", ...push), before: await contentOf(bundlePath) };
  expect(sent.done).toMatchObject({ state: "done" });
  expect(await near.json("catalog-manager", "images", "far")).toContainEqual(expect.objectContaining({ catalogId: "SENT", version: "1" }));

  const unpacked = join(far.home, "unpacked");
  await mkdir(unpacked);
  const address = `${far.client.url}/api/v2/images/sent/1/${architecture}/archive?compress=false`;
  const answer = await fetch(address, { headers: await far.client.session.headers() });
  expect(answer.status).toBe(200);
  const archive = join(far.home, "sent.pdpack");
  await writeFile(archive, Buffer.from(await answer.arrayBuffer()));
  await run("tar", ["-xf", archive, "-C", unpacked]);
  expect(await contentOf(unpacked)).toEqual(sent.before);

  await far.json("machine", "create", "copy", "--image", "sent:1", "--no-start");
  const made = await far.json<{ bundlePath: string }>("machine", "show", "copy");
  await expectEqualDisks(bundlePath, made.bundlePath);
  const disks = (content: Record<string, string>) => Object.entries(content).filter(([path]) => path.includes(".hdd/"));
  expect(disks(await contentOf(made.bundlePath))).toEqual(expect.arrayContaining(disks(sent.before)));
});
