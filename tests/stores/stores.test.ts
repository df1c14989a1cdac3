/** Every store adapter is held to the contract, S3 against a real server; what only one of them can get wrong stands below. */
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { mkdir, mkdtemp, readdir, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { describeObjectStore } from "../../stores/contract.ts";
import { folderStore } from "../../stores/folder.ts";
import { readIdentity } from "../../stores/identity.ts";
import { memoryStore } from "../../stores/memory.ts";
import { readAll } from "../../stores/object-store.ts";
import { s3Store } from "../../stores/s3.ts";
import { startMiddleman, type Middleman } from "./middleman.ts";
import { startS3Server, type S3Server } from "./s3-server.ts";

// These move megabytes through threads and disks: a second when quiet, many on a computer that runs three suites at once.
vi.setConfig({ testTimeout: 40_000 });

const calm = () => new AbortController().signal;
const sha256 = (body: Uint8Array) => createHash("sha256").update(body).digest("hex");
let server: S3Server;
let bucket: string;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "drover-stores-"));
  server = await startS3Server();
  bucket = await server.makeBucket();
}, 180_000);
afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

const s3 = (change: { bucket?: string; prefix?: string; secret?: string; endpoint?: string } = {}) =>
  s3Store({
    bucket: change.bucket ?? bucket,
    prefix: change.prefix ?? `${randomUUID()}/`,
    region: "us-east-1",
    endpoint: change.endpoint ?? server.endpoint,
    credentials: { accessKeyId: server.accessKey, secretAccessKey: change.secret ?? server.secretKey },
  });

describeObjectStore("memory", async () => memoryStore());
describeObjectStore("folder", async () => folderStore(await mkdtemp(join(folder, "store-"))));
describeObjectStore("s3", async () => s3());

describe("folder store", () => {
  it("leaves no temporary file behind, whether a write succeeds, loses or fails", async () => {
    const root = await mkdtemp(join(folder, "clean-"));
    const store = folderStore(root);
    const body = Buffer.from("body");
    await Promise.allSettled([
      store.write("a/x", body, sha256(body), calm()),
      store.write("a/x", body, sha256(body), calm()),
      store.write("a/y", body, sha256(Buffer.from("other")), calm()),
    ]);
    expect(await readdir(join(root, "a"))).toEqual(["x"]);
    expect(await readdir(join(root, "~writing"))).toEqual([]);
  });

  it("clears away what a killed writer left, once it is older than any write, and never lists it", async () => {
    const root = await mkdtemp(join(folder, "sweep-"));
    await mkdir(join(root, "~writing"));
    for (const name of ["old", "young"]) await writeFile(join(root, "~writing", name), "half a pack");
    const longAgo = new Date(Date.now() - 25 * 60 * 60 * 1000);
    await utimes(join(root, "~writing", "old"), longAgo, longAgo);
    const store = folderStore(root);
    await store.write("a/x", Buffer.from("x"), sha256(Buffer.from("x")), calm());
    expect(await readdir(join(root, "~writing"))).toEqual(["young"]);
    expect((await Array.fromAsync(store.list(""))).map(({ key }) => key)).toEqual(["a/x"]);
  });

  it("says which object could not be reached when a folder stands in its place", async () => {
    const root = await mkdtemp(join(folder, "place-"));
    const store = folderStore(root);
    await store.write("a/x", Buffer.from("x"), sha256(Buffer.from("x")), calm());
    expect(await store.size("a")).toBeNull();
    await expect(store.read("a", null, calm())).rejects.toMatchObject({ fault: { code: "store_object_missing" } });
  });

  it("lists no links that lead out of it", async () => {
    const root = await mkdtemp(join(folder, "links-"));
    await writeFile(join(folder, "secret"), "secret");
    await symlink(join(folder, "secret"), join(root, "link"));
    expect(await Array.fromAsync(folderStore(root).list(""))).toEqual([]);
  });
});

describe("s3 store", () => {
  it("says that access is refused when the secret is wrong, without telling it", async () => {
    const refused = s3({ secret: "not-the-secret" }).read("x", null, calm());
    await expect(refused).rejects.toMatchObject({
      fault: { code: "store_denied", message: expect.not.stringContaining("not-the-secret") },
    });
  });

  it("names a bucket that is not there", async () => {
    const missing = s3({ bucket: "no-such-bucket-here" }).read("x", null, calm());
    await expect(missing).rejects.toMatchObject({
      fault: { code: "store_invalid", message: expect.stringContaining("no-such-bucket-here") },
    });
  });

  it("is unavailable when nobody listens", async () => {
    const silent = s3({ endpoint: "http://127.0.0.1:9" }).size("x");
    await expect(silent).rejects.toMatchObject({ fault: { code: "store_unavailable" } });
  });

  it("keeps two prefixes of one bucket apart", async () => {
    const [one, two] = [s3(), s3()];
    await one.write("x", Buffer.from("1"), sha256(Buffer.from("1")), calm());
    expect(await two.size("x")).toBeNull();
    expect(await Array.fromAsync(two.list(""))).toEqual([]);
  });
});

describe("s3 store on its way to the server", () => {
  const big = randomBytes(24 * 1024 * 1024);
  const through = async (work: (middleman: Middleman, store: ReturnType<typeof s3>) => Promise<void>) => {
    const middleman = await startMiddleman(server.endpoint);
    try {
      await work(middleman, s3({ endpoint: middleman.endpoint }));
    } finally {
      await middleman.stop();
    }
  };

  it("waits and asks again when the server is told to slow down, and says so when it stays slow", async () => {
    await through(async (middleman, store) => {
      middleman.slowDowns = 2;
      expect(await store.write("slow", Buffer.from("body"), sha256(Buffer.from("body")), calm())).toBe("written");
      middleman.slowDowns = 2;
      expect(await store.size("slow")).toBe(4);
      middleman.slowDowns = 1000;
      await expect(store.size("slow")).rejects.toMatchObject({ fault: { code: "store_unavailable" } });
    });
  });

  it("uses one connection for one request after the other", async () => {
    await through(async ({ seen }, store) => {
      for (let n = 0; n < 5; n++) {
        const body = Buffer.from(`body ${n}`);
        await store.write(`n/${n}`, body, sha256(body), calm());
        expect((await readAll(await store.read(`n/${n}`, null, calm()), "n", 100)).equals(body)).toBe(true);
      }
      expect(seen.requests).toBe(10);
      expect(seen.connections).toBe(1);
    });
  });

  it("lets go of the connection of a read that is aborted or given up in its middle", async () => {
    await through(async (middleman, store) => {
      await store.write("big", big, sha256(big), calm());
      const before = await middleman.open();
      const stop = new AbortController();
      const aborted = (await store.read("big", null, stop.signal)).getReader();
      await aborted.read();
      stop.abort();
      await expect(drain(aborted)).rejects.toThrow();
      const given = (await store.read("big", null, calm())).getReader();
      await given.read();
      await given.cancel();
      await expect.poll(() => middleman.open(), { timeout: 5000 }).toBeLessThanOrEqual(before);
    });
  });

  it("ends a write that is aborted in its middle, and writes nothing", async () => {
    await through(async (_middleman, store) => {
      const stop = new AbortController();
      const writing = store.write("never", big, sha256(big), stop.signal);
      setImmediate(() => stop.abort());
      await expect(writing).rejects.toMatchObject({ name: "AbortError" });
      expect(await store.size("never")).toBeNull();
    });
  });

  it("presigns with a session's token in the request, and with nothing of its secret", async () => {
    const credentials = { accessKeyId: server.accessKey, secretAccessKey: server.secretKey, sessionToken: "token/of+a=session" };
    const store = s3Store({ bucket, prefix: "", region: "us-east-1", endpoint: server.endpoint, credentials });
    const body = Buffer.from("granted");
    for (const ask of [{ method: "GET" }, { method: "PUT", sha256: sha256(body) }] as const) {
      const signed = await store.presign?.({ ...ask, key: "session", ttlSeconds: 60 });
      expect(new URL(signed?.url ?? "").searchParams.get("X-Amz-Security-Token")).toBe(credentials.sessionToken);
      expect(JSON.stringify(signed)).not.toContain(server.secretKey);
    }
  });
});

async function drain(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  while (!(await reader.read()).done);
}

describe("the identity of a store", () => {
  it("is refused by name when a newer program wrote it", async () => {
    const store = memoryStore(new Map([["store.json", Buffer.from('{"version":2,"owner":"?"}')]]));
    await expect(readIdentity(store, calm())).rejects.toMatchObject({ fault: { code: "format_unknown" } });
  });
});
