/** What a store can do to transfers, and how an operator mends it: refused credentials, absence, slowness, a spoiled object. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Store } from "../../cli/wire.ts";
import { cacheOf, onDiskOf, operationUntil, parkedAt, refusalOf, settled } from "../e2e/faults.ts";
import type { TestStack } from "../e2e/stack.ts";
import { removeObjects, spoilPacks } from "./objects.ts";
import { host, listed, machines, small, type World } from "./world.ts";

const renewed = { accessKey: "DROVERNEWKEY", secretKey: "a-secret-that-stands-in-a-file" };

export function deniedSymptom(world: () => World): void {
  const section = "The store refuses its credentials";
  it("parks pulls and pushes whose store refuses its credentials, and lets them go on once it was given new ones", async () => {
    const { stack, s3, type, start, sample } = world();
    const bundle = await sample("refused", 4, machines);
    await s3.renewKeys(renewed);
    const pull = await start("pull", "wanted:1", "--host", host);
    const push = await start("push", bundle, "refused", "--version", "1", "--host", host);
    expect(await parkedAt(stack, pull.id)).toEqual({ step: "fetch", code: "store_denied" });
    expect(await parkedAt(stack, push.id)).toEqual({ step: "upload", code: "store_denied" });
    await type(section, "drover operation list --state parked");
    await type(section, `drover operation show ${pull.id}`);
    const query = "DroverParked = 'store_denied'";
    await listed(world(), query);
    await type(section, `temporal workflow list --query "${query}"`);

    const [{ name } = { name: "" }] = await stack.client.list("/stores", Store);
    const credentials = (secretKey: string) => `access_key=${renewed.accessKey}\nsecret_key=${secretKey}\n`;
    await writeFile(join(stack.home, "wrong.txt"), credentials("not-the-secret"));
    await writeFile(join(stack.home, "new.txt"), credentials(renewed.secretKey));
    await type(section, `drover store edit ${name} --credentials-file .drover/wrong.txt`);
    await type(section, `drover store edit ${name} --credentials-file .drover/new.txt`);
    await type(section, `drover operation retry ${pull.id} --quiet`);
    await type(section, `temporal workflow update execute --workflow-id ${push.workflowId} --name retry`);
    for (const { id } of [pull, push]) expect(await settled(stack, id)).toMatchObject({ state: "done" });
    await rm(bundle, { recursive: true });
  }, 180_000);

  it("keeps renewed credentials over a restart whose variables still hold the old ones", async () => {
    const { stack, publish } = world();
    const hub = stack.stack.pids()["hub"] ?? 0;
    process.kill(hub, "SIGKILL");
    const ready = () =>
      fetch(`http://127.0.0.1:${stack.env["HUB_HEALTH_PORT"]}/readyz`).then(({ ok }) => ok && stack.stack.pids()["hub"] !== hub);
    await expect.poll(() => ready().catch(() => false), { timeout: 60_000 }).toBe(true);
    await publish("later", 2);
    expect(await stack.client.list("/stores", Store)).toMatchObject([{ state: "ready" }]);
  }, 180_000);
}

export function awaySymptoms(world: () => World): void {
  const section = "The store is slow or down";
  it("parks a pull whose store is down after some tries, and lets it go on once it is back", async () => {
    const { stack, way, type, start } = world();
    way.cut();
    const { id } = await start("pull", "away:1", "--host", host);
    await operationUntil(stack, id, ({ state }) => state === "parked", 90_000);
    expect(await parkedAt(stack, id)).toEqual({ step: "fetch", code: "store_unavailable" });
    await type(section, `drover operation show ${id}`);
    const state = async () => (await stack.client.list("/stores", Store))[0]?.state;
    await expect.poll(state, { timeout: 60_000, interval: 500 }).toBe("unavailable");
    await type(section, "drover store list");
    way.mend();
    await type(section, `drover operation retry ${id} --quiet`);
    expect(await settled(stack, id)).toMatchObject({ state: "done" });
  }, 150_000);

  it("shows how far a pull from a slow store is, waits out a stalled one, and fails for neither", async () => {
    const { stack, way, type, start } = world();
    way.bytesPerSecond = 200_000;
    const { id } = await start("pull", "slow:1", "--host", host);
    await operationUntil(stack, id, ({ progress }) => (progress?.bytesPerSecond ?? 0) > 0 && typeof progress?.remainingMs === "number");
    await type(section, `drover operation show ${id}`);
    way.stall();
    // Several times as long as a store may be silent here: the transfer has met it by then.
    const stalled = way.seen.requests;
    await expect.poll(() => way.seen.requests, { timeout: 60_000 }).toBeGreaterThan(stalled + 8);
    way.bytesPerSecond = null;
    way.mend();
    const { state, steps } = await settled(stack, id, 60_000);
    expect({ state, faults: steps.flatMap(({ fault }) => fault ?? []) }).toEqual({ state: "done", faults: [] });
  }, 180_000);
}

export function spoiledSymptom(world: () => World): void {
  const section = "An object in the store is broken";

  /** Fails alike for a pull and for a machine that share the transfer; answers the pull. */
  async function refusedTwice(name: string, code: string, packs: readonly string[]): Promise<string> {
    const { stack, start } = world();
    const [pull, refused] = await Promise.all([
      start("pull", `${name}:1`, "--host", host),
      refusalOf(stack, "machine", "create", name, "--image", `${name}:1`, ...small),
    ]);
    const { state, fault } = await settled(stack, pull.id);
    expect({ state, code: fault?.code }).toEqual({ state: "failed", code });
    for (const { message } of [refused, { message: fault?.message ?? "" }]) expect(packs.some((pack) => message.includes(pack))).toBe(true);
    expect(await stack.json("machine", "list")).toEqual([]);
    expect(await onDiskOf(stack, host)).toEqual({ ...world().before, incoming: [] });
    return pull.id;
  }

  it("says which pack is missing, shows nothing of the image, and has it whole once the pack is back", async () => {
    const { stack, type, publish } = world();
    const { packs, restore } = await spoilPacks(world(), "missing", () => publish("missing", 4));
    const id = await refusedTwice("missing", "store_object_missing", packs);
    await type(section, `drover operation show ${id}`);
    await restore();
    await type(section, `drover pull missing:1 --host ${host} --quiet`);
    await forget(stack, "missing");
  }, 180_000);

  it("says which pack is broken, shows nothing of the image, and takes it anew once what is broken was removed", async () => {
    const { stack, type, sample, publish } = world();
    const { packs } = await spoilPacks(world(), "broken", () => publish("broken", 4));
    const id = await refusedTwice("broken", "content_corrupt", packs);
    await type(section, `drover operation show ${id}`);
    const { digest } = await stack.json<{ digest: string }>("image", "show", "broken:1");
    await type(section, "drover image show broken:1");
    await type(section, "drover image delete broken:1");
    const keys = packs.map((pack) => `.drover/v1/packs/${pack.slice(0, 2)}/${pack}`);
    await removeObjects(world(), [...keys, `.drover/v1/locations/${digest}/1`]);
    const bundle = await sample("broken", 4, machines);
    await type(section, `drover push ${bundle} broken --version 1 --host ${host} --quiet`);
    await type(section, `drover pull broken:1 --host ${host} --quiet`);
    await rm(bundle, { recursive: true });
    await forget(stack, "broken");
  }, 180_000);

  /** What was brought is no part of what the next test compares with. */
  async function forget(stack: TestStack, name: string): Promise<void> {
    const { digest } = await stack.json<{ digest: string }>("image", "show", `${name}:1`);
    await rm(join(cacheOf(stack, host), digest), { recursive: true });
  }
}
