/**
 * The usual tools at the same work: `tar -S | zstd -3 -T0` and its inverse, and `cp --sparse=always`.
 *
 * On S3 their bytes travel too, without a stop on the disk: the stream goes up in parts of 16 MiB, four at once, as `aws s3 cp -` does, and comes down as one answer.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { createReadStream, createWriteStream, mkdirSync } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  UploadPartCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { forEachLimited } from "../images/limited.ts";
import { peakBytesOf } from "./peak.ts";

/** Where the peer keeps its archive. */
export interface Shelf {
  /** Told in the names of peers. */
  readonly suffix: string;
  put(archive: Readable): Promise<number>;
  get(): Promise<Readable>;
}

export interface PeerRun {
  readonly seconds: number;
  /** Of tar and zstd together; 0 where the system does not tell. */
  readonly peakBytes: number;
  readonly storedBytes: number;
  /** What it left on the disk of the host. */
  readonly target: string | null;
}

const partBytes = 16 * 1024 * 1024;
const partsAtOnce = 4;

export function fileShelf(path: string): Shelf {
  return {
    suffix: "",
    put: async (archive) => {
      await pipeline(archive, createWriteStream(path));
      return (await stat(path)).size;
    },
    get: async () => createReadStream(path),
  };
}

export function s3Shelf(client: S3Client, bucket: string): Shelf {
  const at = { Bucket: bucket, Key: "peer.tar.zst" };
  return {
    suffix: " | S3",
    put: async (archive) => {
      const { UploadId } = await client.send(new CreateMultipartUploadCommand(at));
      const parts: { PartNumber: number; ETag: string | undefined }[] = [];
      let storedBytes = 0;
      await forEachLimited(numbered(archive), partsAtOnce, async ({ number, body }) => {
        storedBytes += body.byteLength;
        const { ETag } = await client.send(new UploadPartCommand({ ...at, UploadId, PartNumber: number, Body: body }));
        parts.push({ PartNumber: number, ETag });
      });
      const sorted = parts.toSorted((a, b) => a.PartNumber - b.PartNumber);
      await client.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts: sorted } }));
      return storedBytes;
    },
    get: async () => {
      const { Body } = await client.send(new GetObjectCommand(at));
      if (!(Body instanceof Readable)) throw new Error("The S3 server answered without a body.");
      return Body;
    },
  };
}

async function* numbered(archive: Readable): AsyncGenerator<{ number: number; body: Buffer }> {
  let [number, bytes] = [1, 0];
  let held: Buffer[] = [];
  for await (const piece of archive as AsyncIterable<Buffer>) {
    held.push(piece);
    bytes += piece.byteLength;
    if (bytes < partBytes) continue;
    yield { number: number++, body: Buffer.concat(held) };
    [held, bytes] = [[], 0];
  }
  yield { number, body: Buffer.concat(held) };
}

/** tar writes straight into zstd, as in a shell; zstd's output goes to the shelf. */
export async function pack(bundle: string, shelf: Shelf): Promise<PeerRun> {
  return timed(async (watch) => {
    const zstd = spawn("zstd", ["-3", "-T0", "-q", "-c"], { stdio: ["pipe", "pipe", "inherit"] });
    const tar = spawn("tar", ["-S", "-cf", "-", "-C", dirname(bundle), basename(bundle)], { stdio: ["ignore", zstd.stdin, "inherit"] });
    zstd.stdin.destroy(); // It is tar's now.
    watch(tar, zstd);
    const [storedBytes] = await Promise.all([shelf.put(zstd.stdout), ended(tar), ended(zstd)]);
    return storedBytes;
  });
}

export async function unpack(shelf: Shelf, target: string): Promise<PeerRun> {
  mkdirSync(target);
  return timed(async (watch) => {
    const archive = await shelf.get();
    const tar = spawn("tar", ["-S", "-xf", "-", "-C", target], { stdio: ["pipe", "inherit", "inherit"] });
    const zstd = spawn("zstd", ["-d", "-q", "-c"], { stdio: ["pipe", tar.stdin, "inherit"] });
    tar.stdin.destroy(); // It is zstd's now.
    watch(tar, zstd);
    await Promise.all([pipeline(archive, zstd.stdin), ended(tar), ended(zstd)]);
    return 0;
  }, target);
}

export async function copy(from: string, to: string): Promise<PeerRun> {
  return timed(async () => {
    // A Mac's cp knows no holes to keep.
    const keeping = process.platform === "linux" ? ["--sparse=always", "--reflink=never"] : [];
    await ended(spawn("cp", ["-R", ...keeping, from, to], { stdio: "inherit" }));
    return 0;
  }, to);
}

async function timed(
  work: (watch: (...children: ChildProcess[]) => void) => Promise<number>,
  target: string | null = null,
): Promise<PeerRun> {
  const peaks = new Map<number, number>();
  const watched: ChildProcess[] = [];
  const look = () => {
    for (const { pid = 0 } of watched) peaks.set(pid, Math.max(peaks.get(pid) ?? 0, peakBytesOf(pid)));
  };
  // Each 20 ms: the kernel keeps the high-water mark itself, so only what a process grew in its last moments can be missed.
  const timer = setInterval(look, 20);
  const start = performance.now();
  try {
    const storedBytes = await work((...children) => watched.push(...children));
    const seconds = (performance.now() - start) / 1000;
    return { seconds, storedBytes, target, peakBytes: [...peaks.values()].reduce((sum, bytes) => sum + bytes, 0) };
  } finally {
    clearInterval(timer);
  }
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => (code === 0 ? resolve() : reject(new Error(`${child.spawnfile} ended with code ${code}.`))));
  });
}
