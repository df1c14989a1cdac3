/** Every store adapter is held to the contract, S3 against a real server; what only one of them can get wrong stands below. */
import { createHash, randomUUID } from "node:crypto";
import { mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { describeObjectStore } from "../../stores/contract.ts";
import { folderStore } from "../../stores/folder.ts";
import { readIdentity } from "../../stores/identity.ts";
import { memoryStore } from "../../stores/memory.ts";
import { s3Store } from "../../stores/s3.ts";
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

describe("the identity of a store", () => {
  it("is refused by name when a newer program wrote it", async () => {
    const store = memoryStore(new Map([["store.json", Buffer.from('{"version":2,"owner":"?"}')]]));
    await expect(readIdentity(store, calm())).rejects.toMatchObject({ fault: { code: "format_unknown" } });
  });
});
