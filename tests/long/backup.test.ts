/**
 * A cold copy of DROVER_HOME, taken in the middle of an operation and put back after the original is gone: everything is there, and the operation goes on.
 * Put back without Temporal's database: operations in flight end as terminated, and all else is there.
 */
import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Client, pathOf } from "../../cli/client.ts";
import { Host, Machine, Operation, OperationDetail, Provisioning } from "../../cli/wire.ts";
import { type Drover, startDrover } from "../../deploy/drover.ts";
import { readConfig } from "../../domain/config/schema.ts";
import { unwrap } from "../../domain/errors.ts";
import { makeSampleBundle } from "../../parallels/sample/make.ts";
import { ownPorts, until } from "../deploy/processes.ts";
import { expectEqualDisks } from "../e2e/disks.ts";

const mebibyte = 1024 ** 2;
let folder = "";
let home = "";
let copy = "";
let env: Record<string, string | undefined>;
let drover: Drover | null = null;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "drover-backup-"));
  await chmod(folder, 0o711); // As root, PostgreSQL runs as a user who must pass through.
  [home, copy] = [join(folder, "home"), join(folder, "copy")];
  const small = { SYSTEM_RESERVED_DISK: "0", CATALOG_CACHE_KEEP_FREE_DISK_SPACE: "0" };
  env = { ...process.env, BASE_URL: "", MODE: "", ...(await ownPorts()), ...small, DROVER_HOME: home };
});
afterAll(async () => {
  await drover?.stack.stop();
  await rm(folder, { recursive: true, force: true });
}, 60_000);

async function start(): Promise<Drover> {
  drover = await startDrover({ config: unwrap(readConfig(env)), env, onLine: () => {} });
  return drover;
}

async function stop(): Promise<void> {
  await drover?.stack.stop();
  drover = null;
}

const copied = (from: string, to: string) => promisify(execFile)("cp", ["--archive", from, to]);
/** As on a computer whose disk was replaced: nothing of the old folder is left. */
async function restore(): Promise<void> {
  await rm(home, { recursive: true });
  await copied(copy, home);
}

const detailOf = (client: Client, id: string) => client.get(pathOf("operations", id), OperationDetail);
const settled = (client: Client, id: string) =>
  until(`operation ${id} ends`, async () => (await detailOf(client, id)).endedAt !== null, 120_000);
const pull = (client: Client, host: string, catalogId: string) =>
  client.send("POST", `${pathOf("hosts", host)}/images`, Operation, { body: { catalogId, version: "1" } });
const create = (client: Client, name: string) => {
  const body = { name, image: { catalogId: "base", version: "1" }, vcpus: 1, memoryBytes: 512 * mebibyte };
  return client.send("POST", "/machines", Provisioning, { body });
};

async function push(client: Client, name: string, contentBytes: number): Promise<{ id: string; bundlePath: string }> {
  const { id: hostId, facts } = await client.get(pathOf("hosts", "mac-1"), Host);
  const made = { folder: facts?.machineFolder ?? "", name, bytes: 2 * contentBytes, contentBytes, path: "" };
  const { bundlePath } = await makeSampleBundle({ ...made, content: "pattern" });
  const { id } = await client.send("POST", "/images", Operation, { body: { hostId, path: bundlePath, catalogId: name, version: "1" } });
  return { id, bundlePath };
}

let pushed: { id: string; bundlePath: string };

it("holds images, machines and an operation in flight, which goes on from the copy to its end, bit by bit right", async () => {
  const { client } = await start();
  const base = await push(client, "base", 16 * mebibyte);
  await settled(client, base.id);
  await settled(client, (await create(client, "kept")).operation.id);
  pushed = await push(client, "big", 192 * mebibyte);
  await until("bytes move", async () => (await detailOf(client, pushed.id)).steps.some(({ progress }) => (progress?.doneBytes ?? 0) > 0));
  await stop();
  await copied(home, copy);

  await restore();
  const again = (await start()).client;
  expect((await detailOf(again, pushed.id)).state).not.toBe("failed");
  await settled(again, pushed.id);
  expect((await detailOf(again, pushed.id)).state).toBe("done");
  const brought = await pull(again, "mac-2", "big");
  await settled(again, brought.id);
  const { result } = await detailOf(again, brought.id);
  await expectEqualDisks(pushed.bundlePath, join(home, "hosts/mac-2/cache", String(result?.["digest"]), "bundle"));
  expect((await again.get(pathOf("machines", "kept"), Machine)).desired).toBe("running");
  await settled(again, (await create(again, "new")).operation.id);
  expect((await again.list("/machines", Machine)).map(({ name }) => name).toSorted()).toEqual(["kept", "new"]);
  await stop();
}, 300_000);

it("without Temporal's database ends what was in flight as terminated, holds nothing for it, and takes the same request anew", async () => {
  await restore();
  await rm(join(home, "temporal"), { recursive: true });
  const { client } = await start();
  await settled(client, pushed.id);
  expect(await detailOf(client, pushed.id)).toMatchObject({ state: "failed", fault: { code: "operation_terminated" } });
  const { id: hostId } = await client.get(pathOf("hosts", "mac-1"), Host);
  const body = { hostId, path: pushed.bundlePath, catalogId: "big", version: "1" };
  const { id } = await client.send("POST", "/images", Operation, { body });
  await settled(client, id);
  expect((await detailOf(client, id)).state).toBe("done");
  expect((await client.get(pathOf("machines", "kept"), Machine)).name).toBe("kept");
  await settled(client, (await create(client, "new")).operation.id);
}, 300_000);
