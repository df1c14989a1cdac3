/**
 * Caches of several hosts, on the whole stack: filled before anybody asks, from one another where they can, and kept as people say.
 */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Client, Connection } from "@temporalio/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { policyScheduleId } from "../../control/prefetch-schedules.ts";
import { CacheEntry } from "../../domain/catalog/caching.ts";
import { Operation } from "../../cli/wire.ts";
import { assertPortsFree } from "../../deploy/ports.ts";
import { refusalOf, sampleIn, settled } from "../e2e/faults.ts";
import { openStack, ownServers, type TestStack } from "../e2e/stack.ts";

const hosts = ["mac-1", "mac-2", "mac-3"];
let stack: TestStack;
let digest = "";

interface Ended {
  readonly state: string;
  readonly result: Record<string, unknown>;
  readonly steps: readonly { readonly name: string; readonly state: string }[];
}

beforeAll(async () => {
  const peers = { DROVER_PEER_PORT: String(await portsInARow(hosts.length)), DROVER_PEER_HOST: "127.0.0.1" };
  stack = await openStack({ ...(await ownServers()), ...peers, DROVER_HOSTS: String(hosts.length) });
  const pushed = await stack.json<Ended>("push", await sampleIn(stack, "own", "golden", 24), "golden", "--version", "1");
  digest = (await stack.json<{ digest: string }[]>("image", "list", "golden"))[0]?.digest ?? String(pushed.result["digest"]);
}, 180_000);
afterAll(() => stack?.close(), 60_000);

/** The first of as many free ports: hosts of one computer count up from it. Below those that the system gives to whoever asks for any. */
async function portsInARow(count: number): Promise<number> {
  for (;;) {
    const first = 20_000 + Math.floor(Math.random() * 10_000);
    const host = { host: "127.0.0.1", owner: "a host", variable: "DROVER_PEER_PORT" };
    const row = Array.from({ length: count }, (_, n) => ({ ...host, port: first + n }));
    const free = await assertPortsFree(row).then(
      () => true,
      () => false,
    );
    if (free) return first;
  }
}

const cachedOn = async (host: string): Promise<CacheEntry[]> => {
  const found = await stack.json<unknown[]>("cache", "list", "--host", host);
  return found.map((entry) =>
    CacheEntry.parse({ ...(entry as object), lastUsedAt: new Date((entry as { lastUsedAt: string }).lastUsedAt) }),
  );
};
const prefetch = (...words: string[]) => stack.json<Ended>("image", "prefetch", "golden:1", ...words);

describe("prefetch", () => {
  it("brings an image to every host, each told by a step and an operation of its own, and the store sends less than each fetching for itself", async () => {
    const { result, steps } = await prefetch("--all");
    expect(result).toMatchObject({ hosts: 3, fetched: 3, cached: 0 });
    expect(steps.map(({ name, state }) => `${name} ${state}`).toSorted()).toEqual([
      "fetch: mac-1 done",
      "fetch: mac-2 done",
      "fetch: mac-3 done",
      "plan done",
    ]);
    const pulls = await stack.client.list("/operations", Operation, { verb: "pull" });
    expect(pulls.map(({ state }) => state)).toEqual(["done", "done", "done"]);
    const images = pulls.reduce((sum, { result: own }) => sum + Number(own?.["fetchedBytes"]), 0);
    const stored = (await stack.json<{ storedBytes: number }[]>("image", "list", "golden"))[0]?.storedBytes ?? 0;
    expect(images / stored).toBeLessThan(1.5);
    process.stdout.write(`3 hosts: ${(images / stored).toFixed(2)} images left the store\n`);
    for (const host of hosts)
      await expect.poll(async () => (await cachedOn(host)).map((one) => one.digest), { timeout: 60_000 }).toEqual([digest]);
  }, 180_000);

  it("leaves out hosts that have it, and refuses a selection that means nobody", async () => {
    expect((await prefetch("--host", "mac-1", "--host", "mac-2")).result).toMatchObject({ fetched: 0, cached: 2 });
    expect(await refusalOf(stack, "image", "prefetch", "golden:1", "--hosts", "no-such-label")).toMatchObject({ code: "no_capacity" });
    expect(await refusalOf(stack, "image", "prefetch", "golden:1", "--all", "--host", "mac-1")).toMatchObject({ exit: 2 });
  }, 180_000);

  it("brings what is published to the hosts of a policy, once", async () => {
    await stack.json("prefetch", "add", "fresh", "fresh:1", "--host", "mac-3", "--on-publish");
    await stack.json("push", await sampleIn(stack, "own", "fresh", 8), "fresh", "--version", "1");
    const started = async () => stack.client.list("/operations", Operation, { verb: "prefetch", image: "fresh/1/arm64" });
    await expect.poll(async () => (await started()).length, { timeout: 60_000 }).toBe(1);
    expect(await settled(stack, (await started())[0]?.id ?? "")).toMatchObject({ state: "done", actor: "root" });
    await expect.poll(async () => (await cachedOn("mac-3")).length, { timeout: 60_000 }).toBe(2);
    expect(await stack.json("prefetch", "list")).toMatchObject([{ name: "fresh", on: "publish", problem: null }]);
    await stack.json("prefetch", "remove", "fresh");
    expect(await started()).toHaveLength(1);
  }, 180_000);
});

describe("a prefetch policy with a time of its own", () => {
  const started = async () => (await stack.client.list("/operations", Operation, { verb: "prefetch", image: "fresh/1/arm64" })).length;
  const scheduled = async (client: Client, id: string) =>
    (await Array.fromAsync(client.schedule.list())).find(({ scheduleId }) => scheduleId === policyScheduleId(id))?.spec?.intervals ?? null;

  it("is a schedule of Temporal's: it begins at once, again when it is due, and not after it was removed", async () => {
    const before = await started();
    const connection = await Connection.connect({ address: stack.env["TEMPORAL_ADDRESS"] ?? "" });
    try {
      const client = new Client({ connection, namespace: stack.env["TEMPORAL_NAMESPACE"] ?? "" });
      const { id } = await stack.json<{ id: string }>("prefetch", "add", "nightly", "fresh:1", "--host", "mac-2", "--every", "1d");
      await expect.poll(started, { timeout: 60_000 }).toBe(before + 1);
      await expect.poll(async () => (await cachedOn("mac-2")).length, { timeout: 60_000 }).toBe(2);
      await stack.json("cache", "prune", "fresh:1", "--host", "mac-2");
      await expect.poll(() => scheduled(client, id), { timeout: 60_000 }).toMatchObject([{ every: 86_400_000 }]);
      await client.schedule.getHandle(policyScheduleId(id)).trigger();
      await expect.poll(started, { timeout: 60_000 }).toBe(before + 2);
      await expect.poll(async () => (await cachedOn("mac-2")).length, { timeout: 60_000 }).toBe(2);
      expect(await stack.json("prefetch", "list")).toMatchObject([{ name: "nightly", on: "schedule", problem: null }]);
      await stack.json("prefetch", "remove", "nightly");
      await expect.poll(() => scheduled(client, id), { timeout: 60_000 }).toBeNull();
    } finally {
      await connection.close();
    }
  }, 240_000);
});

describe("a cache", () => {
  it("is pruned of all but what is pinned, after a dry run that tells the same", async () => {
    await stack.json("cache", "pin", "golden:1", "--host", "mac-3");
    await expect.poll(async () => (await cachedOn("mac-3")).find((one) => one.digest === digest)?.pinned, { timeout: 60_000 }).toBe(true);
    // What a pull has just brought is used until its host has heard that it ended.
    await expect.poll(async () => (await cachedOn("mac-3")).some((one) => one.used), { timeout: 60_000 }).toBe(false);
    const dry = await stack.json<Ended>("cache", "prune", "--host", "mac-3", "--dry-run");
    expect(dry.result).toMatchObject({ dryRun: true, kept: expect.arrayContaining([expect.objectContaining({ digest, why: "pinned" })]) });
    expect(await cachedOn("mac-3")).toHaveLength(2);
    const wet = await stack.json<Ended>("cache", "prune", "--host", "mac-3");
    expect(wet.result["removed"]).toEqual(dry.result["removed"]);
    await stack.json("cache", "unpin", "golden:1", "--host", "mac-3");
    await expect.poll(async () => (await cachedOn("mac-3")).some((one) => one.pinned), { timeout: 60_000 }).toBe(false);
  }, 180_000);

  it("is found to be damaged before a machine is made of it, told, and fetched anew", async () => {
    const bundle = join(stack.home, "hosts", "mac-1", "cache", digest, "bundle");
    const disk = (await readdir(bundle, { recursive: true })).find((name) => name.endsWith(".hds"));
    if (disk === undefined) throw new Error("The image has no disk.");
    const right = await readFile(join(bundle, disk));
    const wrong = Buffer.from(right);
    wrong[right.byteLength - 1] = (wrong[right.byteLength - 1] ?? 0) ^ 1;
    await writeFile(join(bundle, disk), wrong);
    await stack.json(
      "machine",
      "create",
      "sound",
      "--image",
      "golden:1",
      "--host",
      "mac-1",
      "--no-start",
      "--cpus",
      "1",
      "--memory",
      "512M",
    );
    expect((await readFile(join(bundle, disk))).equals(right)).toBe(true);
    await stack.json("machine", "delete", "sound", "--force");
  }, 180_000);
});
