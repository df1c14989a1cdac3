/**
 * A host worker killed with -9 at random points of a push and of a pull: the operation ends right, bit by bit, and nothing partial is ever visible.
 *
 * The stack runs on a PostgreSQL and a Temporal that it did not start itself. The seed is printed; DROVER_TEST_SEED repeats a run, DROVER_CRASH_POINTS asks for more points than the few that fit into every test run.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeSampleBundle, type Sample } from "../../parallels/sample/make.ts";
import { expectEqualDisks } from "./disks.ts";
import { openStack, ownServers, runCommand, type TestStack } from "./stack.ts";

const mebibyte = 1024 ** 2;
const seed = Number(process.env["DROVER_TEST_SEED"] ?? Date.now() % 1_000_000);
const points = Number(process.env["DROVER_CRASH_POINTS"] ?? 2);
const random = generator(seed);

let stack: TestStack;
let folder = "";
/** How long each takes when nobody kills anything: the points lie within. */
const undisturbedMs = { push: 0, pull: 0 };

interface Pushed {
  id: string;
  state: string;
  result: { digest: string; newBytes: number; storedBytes: number };
}

beforeAll(async () => {
  stack = await openStack(await ownServers());
  const { facts } = await stack.json<{ facts: { machineFolder: string } }>("host", "show", "mac-1");
  folder = facts.machineFolder;
  const { bundlePath } = await freshSample("warm");
  undisturbedMs.push = await timed(() => stack.json("push", bundlePath, "warm", "--version", "1", "--host", "mac-1"));
  undisturbedMs.pull = await timed(() => stack.json("pull", "warm:1", "--host", "mac-2"));
  process.stderr.write(`crash tests: seed ${seed}, ${points} points each\n`);
}, 180_000);
afterAll(() => stack?.close(), 60_000);

describe(`a host worker killed in the middle (seed ${seed})`, () => {
  it.each(Array.from({ length: points }, (_, point) => `crash-${point}`))(
    "ends a push and a pull of %s right after restarts: nothing sent twice, nothing partial visible, bit by bit the same",
    async (catalogId) => {
      const { bundlePath } = await freshSample(catalogId);
      const before = await packBytes();
      const push = await stack.json<Pushed>("push", bundlePath, catalogId, "--version", "1", "--host", "mac-1", "--detach");
      await kill("mac-1", random() * undisturbedMs.push);
      const { state, result } = await stack.json<Pushed>("operation", "wait", push.id);
      expect(state).toBe("done");
      // Content of its own, so all of it is new: each byte is counted once, and lies in the store once.
      expect(result.newBytes).toBe(result.storedBytes);
      expect((await packBytes()) - before).toBe(result.storedBytes);

      const cache = join(stack.home, "hosts", "mac-2", "cache");
      const pull = await stack.json<Pushed>("pull", `${catalogId}:1`, "--host", "mac-2", "--detach");
      await kill("mac-2", random() * undisturbedMs.pull);
      const visible = await stat(join(cache, result.digest)).catch(() => null);
      if (visible) await expectEqualDisks(bundlePath, join(cache, result.digest, "bundle"));
      expect(await stack.json<Pushed>("operation", "wait", pull.id)).toMatchObject({ state: "done" });
      await expectEqualDisks(bundlePath, join(cache, result.digest, "bundle"));
      expect(await readdir(join(cache, ".incoming")).catch(() => [])).toEqual([]);
    },
    120_000,
  );
});

/** Its content follows its name, so no other image has it. */
const freshSample = (name: string): Promise<Sample> =>
  makeSampleBundle({ folder, name: `${name}-${seed}`, bytes: 128 * mebibyte, contentBytes: 96 * mebibyte, path: "", content: "pattern" });

async function packBytes(): Promise<number> {
  const packs = join(stack.home, "store", ".drover", "v1", "packs");
  const names = await readdir(packs, { recursive: true });
  const sizes = await Promise.all(names.filter((name) => name.includes("/")).map(async (name) => (await stat(join(packs, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

it("refuses a second process of one host on the same computer, and says which one runs", async () => {
  const env = { PATH: process.env["PATH"], DROVER_HOME: join(stack.home, "hosts", "mac-1"), DROVER_SIMULATE: "true" };
  const ran = await runCommand(["run", "host"], env);
  expect(ran.code).not.toBe(0);
  expect(ran.stderr).toContain(`process ${stack.stack.pids()["mac-1"]}`);
}, 20_000);

/** Kills the process that works now; the supervisor starts another. */
async function kill(host: string, afterMs: number): Promise<void> {
  await delay(afterMs);
  const pid = stack.stack.pids()[host];
  if (!pid) throw new Error(`${host} does not run`);
  process.kill(pid, "SIGKILL");
}

async function timed(act: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await act();
  return performance.now() - began;
}

/** A small generator with a seed (mulberry32, public domain): a failure can be repeated. */
function generator(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
