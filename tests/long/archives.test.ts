/**
 * Images of the Parallels DevOps service in an S3 store: hosts read them by grants alone, in the face of kills and of archives that are not what they say.
 *
 * The one idea: what a user sees is an image or a refusal; nothing in between lies on the host or in the catalog.
 */
import { join } from "node:path";
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import postgres from "postgres";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { ImageVersion } from "../../domain/catalog/schema.ts";
import { parseTree, treeFiles } from "../../images/tree.ts";
import { cacheOf, moving, onDiskOf, refusalOf, sampleIn, settled } from "../e2e/faults.ts";
import { openStack, ownServers, type TestStack } from "../e2e/stack.ts";
import { md5Of, tarOf, type TarPart } from "../pdpack/tar.ts";
import { startArtifactoryServer } from "../stores/artifactory-server.ts";
import { startAzureServer } from "../stores/azure-server.ts";
import { startS3Server, type S3Server } from "../stores/s3-server.ts";

const host = "mac-1";
let stack: TestStack;
let server: S3Server;
let bucket = "";
let s3: S3Client;

beforeAll(async () => {
  server = await startS3Server();
  bucket = await server.makeBucket();
  const { endpoint, accessKey: accessKeyId, secretKey: secretAccessKey } = server;
  s3 = new S3Client({ endpoint, region: "us-east-1", forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } });
  stack = await openStack({ ...(await ownServers()), DROVER_HOSTS: "1" });
  const secret = join(stack.home, "s3.txt");
  await writeFile(secret, `access_key=${accessKeyId}\nsecret_key=${secretAccessKey}\n`);
  await stack.json("store", "add", "old", `s3://${bucket}?endpoint=${encodeURIComponent(endpoint)}`, "--credentials-file", secret);
}, 180_000);
afterAll(async () => {
  await stack?.close();
  await server?.stop();
}, 60_000);

const putIn = (Bucket: string, Key: string, Body: Uint8Array | string) => s3.send(new PutObjectCommand({ Bucket, Key, Body }));
const put = (key: string, body: Uint8Array | string) => putIn(bucket, key, body);
const show = (image: string) => stack.json<ImageVersion>("image", "show", image);

it("goes there in parts and comes back by grants, also when the host process dies while it unpacks", async () => {
  // More than a part of 64 MiB, so that the upload has several.
  await stack.json("push", await sampleIn(stack, join(stack.home, "own"), "Big", 160), "big", "--version", "1");
  const before = await show("big:1");
  const exported = await stack.json<{ result: { packKey: string; md5: string; packBytes: number } }>(
    "image",
    "export",
    "big:1",
    "--store",
    "old",
    "--plain",
  );
  expect(exported.result.packBytes).toBeGreaterThan(160 << 20);
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: exported.result.packKey }));
  const md5 = createHash("md5");
  for await (const part of Body as AsyncIterable<Uint8Array>) md5.update(part);
  expect(md5.digest("hex")).toBe(exported.result.md5);

  await stack.json("image", "delete", "big:1");
  await stack.json("image", "import", "big:1", "--store", "old");
  const pull = await stack.json<{ id: string }>("pull", "big:1", "--host", host, "--detach");
  await moving(stack, pull.id, "fetch");
  process.kill(stack.stack.pids()[host] ?? 0, "SIGKILL");
  expect(await settled(stack, pull.id, 180_000)).toMatchObject({ state: "done" });
  const after = await show("big:1");
  expect(after).toMatchObject({ generation: 0, logicalBytes: before.logicalBytes });
  expect((await onDiskOf(stack, host)).incoming).toEqual([]);
  const cached = parseTree(await readFile(join(cacheOf(stack, host), after.digest, "tree")), after.digest);
  expect(treeFiles(cached).length).toBeGreaterThan(1);
  const converted = await stack.json<{ result: { digest: string } }>("image", "import", "big:1", "--store", "old", "--convert");
  expect(converted.result.digest).toBe(after.digest);
  expect(await show("big:1")).toMatchObject({ generation: 1, digest: after.digest });
}, 300_000);

const config: TarPart = { name: "/config.pvs", content: "<ParallelsVirtualMachine/>" };
const manifest = (name: string, pack: Buffer, more: object = {}) =>
  JSON.stringify({
    catalog_id: name,
    version: "1",
    architecture: "arm64",
    type: "pvm",
    compressed_checksum: md5Of(pack),
    size: 1,
    ...more,
  });

it.each([
  ["path-up", tarOf([config, { name: "/../../out", content: "x" }]), {}, "archive_refused"],
  ["link-out", gzipSync(tarOf([config, { name: "/l", flag: "2", linkname: "/etc/passwd" }])), {}, "archive_refused"],
  ["wrong-md5", gzipSync(tarOf([config])), { compressed_checksum: "0".repeat(32) }, "archive_corrupt"],
  ["wrong-size", gzipSync(tarOf([config])), { size: 5000, virtual_machine_contents: [{}] }, "archive_corrupt"],
  ["cut", gzipSync(tarOf([config])).subarray(0, 60), {}, "archive_corrupt"],
])(
  "an archive that is not what it says is refused by a pull, and leaves nothing: %s",
  async (name, pack, more, code) => {
    await put(`${name}/any name ü.tgz`, pack);
    await put(`${name}/${name}-arm64-1.meta`, manifest(name, pack, { pack_path: "any name ü.tgz", ...more }));
    await stack.json("image", "import", `${name}:1`, "--store", "old");
    const before = await onDiskOf(stack, host);
    expect(await refusalOf(stack, "pull", `${name}:1`, "--host", host)).toMatchObject({ code });
    expect(await onDiskOf(stack, host)).toEqual(before);
    expect(await show(`${name}:1`)).toMatchObject({ generation: 0, downloads: 0 });
  },
  60_000,
);

it("a catalog that may only be read is listed, imported from and pulled from, and nothing is written to it", async () => {
  const { accessKey, secretKey } = server.reader;
  const secret = join(stack.home, "reader.txt");
  await writeFile(secret, `access_key=${accessKey}\nsecret_key=${secretKey}\n`);
  const theirs = await server.makeBucket();
  const pack = gzipSync(tarOf([config, { name: "/disk", content: Buffer.alloc(300_000, 7) }]));
  await putIn(theirs, "theirs/theirs-arm64-1.pdpack", pack);
  await putIn(
    theirs,
    "theirs/theirs-arm64-1.meta",
    manifest("theirs", pack, { required_roles: ["theirs_only"], required_claims: ["THEIRS_TOO"] }),
  );
  const location = `s3://${theirs}?endpoint=${encodeURIComponent(server.endpoint)}`;
  expect(await refusalOf(stack, "store", "add", "reading", location, "--credentials-file", secret)).toMatchObject({ code: "store_denied" });
  await stack.json("store", "add", "reading", location, "--read-only", "--credentials-file", secret);
  expect(await stack.json("store", "test", "reading")).toMatchObject({ passed: true });
  expect(await stack.json("image", "import", "--list", "--store", "reading")).toMatchObject([{ catalogId: "theirs", imported: false }]);
  await stack.json("image", "import", "theirs:1", "--store", "reading");
  await stack.json("pull", "theirs:1", "--host", host);
  // What its manifest asks for can be given from now on.
  expect(await show("theirs:1")).toMatchObject({ downloads: 1, requiredRoles: ["THEIRS_ONLY"], requiredClaims: ["THEIRS_TOO"] });
  const sql = postgres(stack.env["DATABASE_URL"] ?? "", { max: 1 });
  expect(await sql`select id from roles where id = 'THEIRS_ONLY' union all select id from claims where id = 'THEIRS_TOO'`).toHaveLength(2);
  await sql.end();
  const sample = await sampleIn(stack, join(stack.home, "own"), "Refused", 1);
  expect(await refusalOf(stack, "push", sample, "refused", "--store", "reading")).toMatchObject({ code: "store_read_only" });
  expect(await refusalOf(stack, "image", "export", "theirs:1", "--store", "reading")).toMatchObject({ code: "store_read_only" });
  expect(await refusalOf(stack, "store", "gc", "reading")).toMatchObject({ code: "store_read_only" });
  const converted = ["image", "import", "theirs:1", "--store", "reading", "--convert"];
  expect(await refusalOf(stack, ...converted, "--to-store", "reading")).toMatchObject({ code: "store_read_only" });
  await stack.json(...converted);
  expect(await show("theirs:1")).toMatchObject({ generation: 1 });
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: theirs }));
  expect(Contents.map(({ Key = "" }) => Key).toSorted((a, b) => a.localeCompare(b))).toEqual([
    "theirs/theirs-arm64-1.meta",
    "theirs/theirs-arm64-1.pdpack",
  ]);
}, 180_000);

it.each(["azure", "artifactory"] as const)(
  "an image goes to %s as an archive, and comes back from there by grants",
  async (kind) => {
    await using away = kind === "azure" ? await azureStore() : await artifactoryStore();
    const secret = join(stack.home, `${kind}.txt`);
    await writeFile(secret, away.secret);
    await stack.json("store", "add", kind, away.location, "--credentials-file", secret);
    await stack.json("push", await sampleIn(stack, join(stack.home, "own"), kind, 24), `of-${kind}`, "--version", "1");
    const before = await show(`of-${kind}:1`);
    const { result } = await stack.json<{ result: { packKey: string; md5: string } }>("image", "export", `of-${kind}:1`, "--store", kind);
    await stack.json("image", "delete", `of-${kind}:1`);
    expect(await stack.json("image", "import", "--list", "--store", kind)).toMatchObject([{ catalogId: `of-${kind}`, problem: null }]);
    await stack.json("image", "import", `of-${kind}:1`, "--store", kind);
    await stack.json("pull", `of-${kind}:1`, "--host", host);
    const after = await show(`of-${kind}:1`);
    expect(after).toMatchObject({ generation: 0, logicalBytes: before.logicalBytes, downloads: 1 });
    // Converted into the very store that it lies in, and pulled from there by chunks.
    await stack.json("image", "import", `of-${kind}:1`, "--store", kind, "--convert", "--to-store", kind);
    expect(await show(`of-${kind}:1`)).toMatchObject({ generation: 1, digest: after.digest });
    await expect
      .poll(async () => (await stack.json<{ digest: string; used: boolean }[]>("cache", "list", "--host", host)).some(({ used }) => used), {
        timeout: 60_000,
      })
      .toBe(false);
    await stack.json("cache", "prune", `of-${kind}:1`, "--host", host);
    const pulled = await stack.json<{ result: { fetchedBytes: number } }>("pull", `of-${kind}:1`, "--host", host);
    expect(pulled.result.fetchedBytes).toBeGreaterThan(0);
    expect(result.md5).toMatch(/^[0-9a-f]{32}$/);
    expect(await stack.json("store", "check", kind, "--read-data")).toMatchObject({ found: 0 });
  },
  240_000,
);

async function azureStore() {
  const azure = await startAzureServer();
  const location = `azure://${azure.account}/${await azure.makeContainer()}?endpoint=${encodeURIComponent(azure.endpoint)}`;
  return { location, secret: `account_key=${azure.accountKey}\n`, [Symbol.asyncDispose]: () => azure.stop() };
}

async function artifactoryStore() {
  const server = await startArtifactoryServer();
  const location = `artifactory://${server.repo}?endpoint=${encodeURIComponent(server.endpoint)}`;
  return { location, secret: `token=${server.token}\n`, [Symbol.asyncDispose]: () => server.stop() };
}

it("a manifest without its archive, and one that makes no sense, are refused before a version is made", async () => {
  await put("alone/alone-arm64-1.meta", manifest("alone", Buffer.from("x")));
  await put("odd/odd-arm64-1.meta", "{");
  expect(await refusalOf(stack, "image", "import", "alone:1/arm64", "--store", "old")).toMatchObject({ code: "archive_not_found" });
  expect(await refusalOf(stack, "image", "import", "odd:1/arm64", "--store", "old")).toMatchObject({ code: "archive_invalid" });
  expect(await refusalOf(stack, "image", "show", "alone:1/arm64")).toMatchObject({ code: "image_not_found" });
  const listed = await stack.json<{ manifestKey: string; problem: string | null }[]>("image", "import", "--list", "--store", "old");
  expect(
    listed
      .filter(({ problem }) => problem !== null)
      .map(({ manifestKey }) => manifestKey)
      .toSorted(),
  ).toEqual(["alone/alone-arm64-1.meta", "odd/odd-arm64-1.meta"]);
}, 60_000);
