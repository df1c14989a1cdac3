/** What a transfer may read and write, through a folder store whose bytes the gateway carries. */
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { grantedStore } from "../../activities/host/granted-store.ts";
import { openHubLink, type HostIdentity, type HubLink } from "../../activities/host/hub-link.ts";
import { operations, stores } from "../../db/schema.ts";
import { FaultError } from "../../domain/errors.ts";
import { locationsKey, packKey, treeKey } from "../../images/format.ts";
import { writeAnew } from "../../images/heal.ts";
import { imagePaths } from "../../images/layout.ts";
import { pullTree } from "../../images/pull.ts";
import { pushBundle } from "../../images/push.ts";
import { folderStore } from "../../stores/folder.ts";
import { readAll } from "../../stores/object-store.ts";
import { log, namespace, startHub, type Hub } from "./hub.ts";

let hub: Hub;
let folder: string;
let storeId: string;
let a: HostIdentity;
let b: HostIdentity;
let linkA: HubLink;
let linkB: HubLink;
const signal = new AbortController().signal;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

beforeAll(async () => {
  hub = await startHub();
  folder = await mkdtemp(join(tmpdir(), "drover-grants-"));
  storeId = randomUUID();
  await hub.db.insert(stores).values({ id: storeId, name: "folder", kind: "folder", location: `folder:${join(folder, "store")}` });
  [a, b] = await Promise.all([hub.enrol("mac-a"), hub.enrol("mac-b")]);
  [linkA, linkB] = [await hub.link(a), await hub.link(b)];
}, 180_000);
afterAll(async () => {
  await hub.stop();
  await rm(folder, { recursive: true, force: true });
});

describe("a transfer by grants", () => {
  it("pushes a bundle and pulls it on another host, bit by bit", async () => {
    const { pushed, content } = await pushOne("image");
    const pull = await operation(b, "pull", { chosen: { storeId, ...treeOf(pushed) } });
    const target = join(folder, "pulled");
    const { digest, generation } = pushed;
    await pullTree({
      digest,
      generation,
      store: grantedStore(linkB, pull, signal),
      targetPath: target,
      seeds: [],
      signal,
      onProgress: () => {},
    });
    expect(sha256(await readFile(join(target, "bundle", "disk.bin")))).toBe(sha256(content));
  });

  it("goes on across a restart of the gateway", async () => {
    const id = await operation(a, "push", { storeId, catalogId: "restart" });
    const store = grantedStore(linkA, id, signal);
    await store.begin();
    const body = randomBytes(1000);
    const restarted = hub.restartGateway();
    expect(await store.write(packKey(sha256(body)), body, sha256(body), signal)).toBe("written");
    await restarted;
    expect(await store.write(packKey(sha256(body)), body, sha256(body), signal)).toBe("present");
    expect(await store.size(packKey(sha256(body)))).toBe(1000);
    expect(await store.size(packKey("0".repeat(64)))).toBeNull();
  });

  it("sends a pack once, although the answer that the store has it was lost", async () => {
    const id = await operation(a, "push", { storeId, catalogId: "unanswered" });
    let puts = 0;
    const send: HubLink["send"] = async (ask) => {
      const answer = await linkA.send(ask);
      if (ask.method !== "PUT" || ++puts > 1) return answer;
      answer.resume();
      throw new FaultError({ code: "hub_unavailable", message: "The gateway died before its answer came." });
    };
    const store = grantedStore({ ...linkA, send }, id, signal);
    await store.begin();
    const body = randomBytes(1000);
    expect(await store.write(packKey(sha256(body)), body, sha256(body), signal)).toBe("present");
    expect(puts).toBe(1);
  });

  it("heals with what a killed attempt has brought, and sends none of its packs again", async () => {
    const { pushed } = await pushOne("healed", 40 * 1024 ** 2);
    const cached = imagePaths(join(folder, "cached"));
    const { digest } = pushed;
    const near = folderStore(join(folder, "store"));
    await pullTree({ ...treeOf(pushed), store: near, targetPath: cached.folder, seeds: [], signal });
    const id = await operation(a, "heal", { storeId, digest, generation: 2 });
    const packs: string[] = [];
    const attempt = async (most: number) => {
      const killed = new AbortController();
      const send: HubLink["send"] = async (ask) => {
        if (ask.method === "PUT" && ask.path.includes("/packs/")) packs.push(ask.path.replace(/\?.*/, ""));
        if (packs.length > most) killed.abort();
        return linkA.send(ask);
      };
      const store = grantedStore({ ...linkA, send }, id, killed.signal, { again: true });
      await store.begin();
      return writeAnew({ paths: cached, digest, from: null, to: 2, broken: new Set(), store, signal: killed.signal });
    };
    await expect(attempt(2)).rejects.toThrow();
    await attempt(Infinity);
    // Of two that had come and one that broke off, only that one travels again.
    expect([packs.length, new Set(packs).size]).toEqual([4, 3]);
  });

  it("reads ranges, and only what the operation is about", async () => {
    const { pushed } = await pushOne("ranges");
    const { pushed: other } = await pushOne("secret");
    const pull = await operation(b, "pull", { chosen: { storeId, ...treeOf(pushed) } });
    const store = grantedStore(linkB, pull, signal);
    const whole = await readAll(await store.read(treeKey(pushed.digest), null, signal), "tree", 1 << 20);
    const part = await readAll(await store.read(treeKey(pushed.digest), { offsetBytes: 5, lengthBytes: 7 }, signal), "tree", 100);
    expect(part).toEqual(whole.subarray(5, 12));
    const [pack] = await packsOf(other);
    for (const key of [
      treeKey(other.digest),
      locationsKey(other.digest, 1),
      pack ?? "",
      "store.json",
      ".drover/v1/store.json",
      "../secret",
      ".drover/v1/trees/../../x",
      "/etc/passwd",
      "",
    ]) {
      await expect(store.read(key, null, signal), key).rejects.toMatchObject({ fault: { code: "grant_refused" } });
    }
    const body = randomBytes(10);
    await expect(
      linkB.grants({ operationId: pull, begin: true, write: [{ key: packKey(sha256(body)), sha256: sha256(body), bytes: 10 }] }),
    ).rejects.toMatchObject({ fault: { code: "grant_refused" } });
  });

  it("is refused to another host, to an operation that ended, and to an attempt that a newer one replaced", async () => {
    const id = await operation(a, "push", { storeId, catalogId: "fence" });
    const body = randomBytes(10);
    const write = [{ key: packKey(sha256(body)), sha256: sha256(body), bytes: 10 }];
    await expect(linkB.grants({ operationId: id, begin: true })).rejects.toMatchObject({ fault: { code: "grant_refused" } });
    const older = grantedStore(linkA, id, signal);
    const first = await older.begin();
    const second = await grantedStore(linkA, id, signal).begin();
    expect(second).toBeGreaterThan(first);
    await expect(older.write(packKey(sha256(body)), body, sha256(body), signal)).rejects.toMatchObject({ fault: { code: "fenced" } });
    await hub.sql`update operations set state = 'done' where id = ${id}`;
    await expect(linkA.grants({ operationId: id, fence: second, write })).rejects.toMatchObject({ fault: { code: "grant_refused" } });
  });

  it("writes nothing but the announced bytes under their own name", async () => {
    const id = await operation(a, "push", { storeId, catalogId: "bytes" });
    const { fence } = await linkA.grants({ operationId: id, begin: true });
    const body = randomBytes(100);
    const ask = (key: string, hash: string, bytes: number) =>
      linkA.grants({ operationId: id, fence, write: [{ key, sha256: hash, bytes }] });
    const misnamed = [
      packKey("0".repeat(64)),
      treeKey("0".repeat(64)),
      `.drover/v1/packs/00/${sha256(body)}x`,
      ".drover/v1/packs/../../x",
      ".drover/v1/store.json",
    ];
    for (const key of misnamed) await expect(ask(key, sha256(body), 100), key).rejects.toMatchObject({ fault: { code: "grant_refused" } });
    await expect(ask(packKey(sha256(body)), sha256(body), 65 * 1024 ** 2)).rejects.toMatchObject({ fault: { code: "grant_refused" } });

    const [granted] = (await ask(packKey(sha256(body)), sha256(body), 100)).objects;
    const put = async (path: string, sent: Uint8Array) => {
      const answer = await linkA.send({ method: "PUT", path, body: sent });
      answer.resume();
      return answer.statusCode;
    };
    const url = granted?.url ?? "";
    expect(await put(url, randomBytes(100))).toBe(502);
    expect(await put(url, randomBytes(99))).toBe(403);
    expect(await put(url.replace(sha256(body), "0".repeat(64)), body)).toBe(403);
    expect(await put(url.replace(/expires=\d/, "expires=9"), body)).toBe(403);
    expect(await put(url.replace(/bytes=\d+/, "bytes=99"), randomBytes(99))).toBe(403);
    expect(await put(url, body)).toBe(201);
  });

  it("hands out sealed input to the host of the operation", async () => {
    const id = await operation(a, "execute", {});
    const sealed = await hub.security.sealer.seal({ script: "echo hush" }, `operation:${id}`);
    await hub.sql`update operations set sealed = ${Buffer.from(sealed)} where id = ${id}`;
    expect(await linkA.grants({ operationId: id, sealed: true })).toMatchObject({ sealed: { script: "echo hush" } });
    await expect(linkB.grants({ operationId: id, sealed: true })).rejects.toMatchObject({ fault: { code: "grant_refused" } });
  });

  it("tells each host its part of a store's limits, and holds a transfer to it", async () => {
    const { pushed } = await pushOne("limited");
    const [pack = ""] = await packsOf(pushed);
    const pull = async (host: HostIdentity) => {
      const id = await operation(host, "pull", { chosen: { storeId, ...treeOf(pushed) } });
      await hub.sql`insert into steps (operation_id, name, position, state) values (${id}, 'fetch', 0, 'running')`;
      return id;
    };
    const id = await pull(b);
    const ask = async () => (await linkB.grants({ operationId: id, read: [pack] })).share;
    expect(await ask()).toBeNull();
    await hub.sql`update stores set max_bytes_per_second = 4000000, max_requests = 3 where id = ${storeId}`;
    expect(await ask()).toEqual({ storeId, bytesPerSecond: 4_000_000, requests: 3 });
    // Two on one host share its part; another host halves it.
    await pull(b);
    expect(await ask()).toMatchObject({ bytesPerSecond: 4_000_000, requests: 3 });
    const other = await pull(a);
    expect(await ask()).toEqual({ storeId, bytesPerSecond: 2_000_000, requests: 1 });

    const store = grantedStore(linkB, id, signal);
    await readAll(await store.read(treeKey(pushed.digest), null, signal), "tree", 1 << 20);
    const began = performance.now();
    const range = { offsetBytes: 0, lengthBytes: 500_000 };
    const parts = [1, 2, 3].map(async () => (await readAll(await store.read(pack, range, signal), "pack", 1 << 20)).byteLength);
    expect(await Promise.all(parts)).toEqual([500_000, 500_000, 500_000]);
    // The first travels at once, the others when their bytes are due: 500 kB each at 2 MB/s.
    expect(performance.now() - began).toBeGreaterThanOrEqual(490);
    await hub.sql`update operations set state = 'done' where id in (${id}, ${other})`;
    await hub.sql`update stores set max_bytes_per_second = null, max_requests = null where id = ${storeId}`;
  });

  it("is given to a caller's own computer for the one operation that its right names", async () => {
    const [id, other] = [
      await operation(null, "push", { storeId, catalogId: "own" }),
      await operation(null, "push", { storeId, catalogId: "own" }),
    ];
    const [own, foreign] = await Promise.all([caller(id), caller(other)]);
    const body = randomBytes(10);
    const store = grantedStore(own, id, signal);
    await store.begin();
    expect(await store.write(packKey(sha256(body)), body, sha256(body), signal)).toBe("written");
    await expect(grantedStore(foreign, id, signal).begin()).rejects.toMatchObject({ fault: { code: "grant_refused" } });
    await expect(linkA.grants({ operationId: id, begin: true })).rejects.toMatchObject({ fault: { code: "grant_refused" } });
    await hub.sql`update operations set state = 'cancelled' where id = ${id}`;
    await expect(grantedStore(own, id, signal).begin()).rejects.toMatchObject({ fault: { code: "grant_refused" } });
    await Promise.all([own.close(), foreign.close()]);
  });

  it("lets nobody write locations that only the hub may replace", async () => {
    const { pushed } = await pushOne("located");
    const id = await operation(a, "push", { storeId, catalogId: "elsewhere" });
    const { fence } = await linkA.grants({ operationId: id, begin: true });
    const ask = (generation: number) =>
      linkA.grants({ operationId: id, fence, write: [{ key: locationsKey(pushed.digest, generation), sha256: "0".repeat(64), bytes: 1 }] });
    await expect(ask(2)).rejects.toMatchObject({ fault: { code: "grant_refused" } });
    expect((await ask(1)).objects).toHaveLength(1);
  });
});

async function operation(
  host: HostIdentity | null,
  verb: "push" | "pull" | "execute" | "heal",
  input: Record<string, unknown>,
): Promise<string> {
  const id = randomUUID();
  const said = { verb, state: "running", subject: "x", actor: "root", actorId: "root", onFault: "fail", input } as const;
  await hub.db.insert(operations).values({ id, hostId: host?.hostId ?? null, workflowId: `${verb}/${id}`, ...said });
  return id;
}

async function pushOne(name: string, bytes = 3 * 1024 ** 2) {
  const content = randomBytes(bytes);
  const bundlePath = join(folder, `${name}.pvm`);
  await mkdir(bundlePath);
  await writeFile(join(bundlePath, "disk.bin"), content);
  const store = grantedStore(linkA, await operation(a, "push", { storeId, catalogId: name }), signal);
  await store.begin();
  const pushed = await pushBundle({
    bundlePath,
    store,
    bases: [],
    journalPath: join(folder, `journal-${name}`),
    generation: 1,
    signal,
    onProgress: () => {},
  });
  return { pushed, content };
}

const treeOf = ({ digest, generation }: { digest: string; generation: number }) => ({ digest, generation });

async function packsOf({ digest }: { digest: string }): Promise<string[]> {
  const store = folderStore(join(folder, "store"));
  const bytes = await readAll(await store.read(locationsKey(digest, 1), null, signal), "locations", 1 << 20);
  const found: string[] = [];
  for await (const { key } of store.list(".drover/v1/packs/")) if (bytes.includes(Buffer.from(key.slice(-64), "hex"))) found.push(key);
  return found;
}

async function caller(operationId: string): Promise<HubLink> {
  const { token } = await hub.security.transfers.issue(operationId);
  const { url, grpcAddress } = hub.gateway();
  const authority = hub.security.authority.certificate;
  return openHubLink({ hubUrl: url, grpcAddress, namespace, authority, token: async () => token }, { log });
}
