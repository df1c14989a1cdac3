/** Twenty pulls on a whole stack whose disk is filled at a random point: each parks with no_space, shows nothing, and is done once there is room and an operator says retry. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readdir, readFile, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { operationUntil, parkedAt, sampleIn, settled } from "../e2e/faults.ts";
import { openStack, ownServers, type TestStack } from "../e2e/stack.ts";
import { mayMount } from "../images/full-disk.ts";
import { random } from "../images/samples.ts";

const host = "mac-1";
const mebibyte = 1024 ** 2;
const contentBytes = 64 * mebibyte;
/** Some seconds a pull: a disk can be seen to fill. */
const bandwidth = "5M";
const diskBytes = 3 * contentBytes;
const seed = Number(process.env["DROVER_TEST_SEED"] ?? Date.now() % 2 ** 31);
const next = random(seed);
const run = promisify(execFile);

let stack: TestStack;
let cache = "";
let pushed = "";

beforeAll(async () => {
  stack = await openStack({ ...(await ownServers()), DROVER_HOSTS: "1", DROVER_TRANSFER_BANDWIDTH: bandwidth });
  cache = join(stack.home, "hosts", host, "cache");
  pushed = await sampleIn(stack, "own", "golden", contentBytes / mebibyte);
  await stack.json("push", pushed, "golden", "--version", "1");
  await run("mount", ["-t", "tmpfs", "-o", `size=${diskBytes}`, "tmpfs", cache]);
}, 300_000);
afterAll(async () => {
  await run("umount", ["-l", cache]);
  await stack?.close();
}, 60_000);

describe.skipIf(!mayMount)(`a disk that is filled in the middle of a pull (DROVER_TEST_SEED=${seed})`, () => {
  it.each(Array.from({ length: 20 }, () => next() * 0.8))(
    "parks at %d of the image and goes on when there is room",
    async (share) => {
      await resize(diskBytes);
      for (const name of await readdir(cache)) await rm(join(cache, name), { recursive: true });
      // What is removed takes its room until nobody has it open.
      await expect.poll(usedBytes, { timeout: 60_000 }).toBeLessThan(mebibyte);
      const { id } = await stack.json<{ id: string }>("pull", "golden:1", "--host", host, "--detach");
      await fillAt(share * contentBytes);
      const { code } = await parkedAt(stack, id);
      expect(code).toBe("no_space");
      expect((await readdir(cache)).filter((name) => /^[0-9a-f]{64}$/.test(name))).toEqual([]);
      await resize(diskBytes);
      await stack.json("operation", "retry", id);
      const { state, result } = await settled(stack, id);
      expect(state).toBe("done");
      const bundle = join(cache, String(result?.["digest"]), "bundle");
      expect(await hashesOf(bundle)).toEqual(await hashesOf(pushed));
      await operationUntil(stack, id, (detail) => detail.state === "done");
    },
    300_000,
  );
});

const resize = (bytes: number) => run("mount", ["-o", `remount,size=${bytes}`, cache]);

async function usedBytes(): Promise<number> {
  const { blocks, bfree, bsize } = await statfs(cache);
  return (blocks - bfree) * bsize;
}

/** What a pull may write while the disk is being made smaller, which is refused once more is used than it would have. */
const slackBytes = 6 * mebibyte;

/** Waits until so much is used, then leaves hardly any room beyond. */
async function fillAt(bytes: number): Promise<void> {
  for (; ; await delay(1)) {
    const used = await usedBytes();
    if (used < bytes) continue;
    const full = await resize(used + slackBytes).then(
      () => true,
      () => false,
    );
    if (full) return;
  }
}

async function hashesOf(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const hashed = files.map(async (file) => [
    file.slice(folder.length),
    createHash("sha256")
      .update(await readFile(file))
      .digest("hex"),
  ]);
  return Object.fromEntries(await Promise.all(hashed)) as Record<string, string>;
}
