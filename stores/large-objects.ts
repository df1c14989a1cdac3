/**
 * Writes objects that no memory holds: archives of another service, of any size, in the parts that each provider takes.
 *
 * The one idea: what is on its way has no name yet. It gets its key in one step when all of it is there, so a write that dies leaves nothing that anybody could
 * mistake for an archive; and it takes the place of what had the key, since such archives are named by people.
 */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
  type CompletedPart,
} from "@aws-sdk/client-s3";
import { credentialsFor, type StoreCredentials } from "../domain/catalog/store-credentials.ts";
import type { StoreLocation } from "../domain/catalog/store-location.ts";
import { FaultError, unwrap } from "../domain/errors.ts";
import { deployLarge } from "./artifactory-large.ts";
import { readAuthority } from "./authority.ts";
import { azureClient } from "./azure-client.ts";
import { storeDenied, storeUnavailable } from "./faults.ts";
import { checkKey } from "./object-store.ts";
import { retrier } from "./retry.ts";
import { s3Access, type S3Options } from "./s3-client.ts";

export interface LargeObjects {
  write(key: string, parts: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>;
}

/** S3 takes ten thousand parts: 640 GB. Two are in memory, one that fills and one that travels. */
const partBytes = 64 * 1024 * 1024;
const partsAtOnce = 1;
/** Azure takes fifty thousand blocks: 800 GB. Four travel at once. */
const blockBytes = 16 * 1024 * 1024;
const blocksAtOnce = 4;

export function openLargeObjects(location: StoreLocation, credentials: StoreCredentials | null): LargeObjects {
  if (location.kind === "folder") return inFolder(location.path);
  const ca = readAuthority(location.ca);
  if (location.kind === "artifactory") {
    const options = { ...location, ca, credentials: unwrap(credentialsFor("artifactory", credentials)) };
    return { write: (key, parts, signal) => deployLarge(options, key, parts, signal) };
  }
  if (location.kind === "azure") return inAzure({ ...location, ca, credentials: unwrap(credentialsFor("azure", credentials)) });
  const { kms_key: kmsKey, ...place } = location;
  return inS3({ ...place, kmsKey, ca, credentials: unwrap(credentialsFor("s3", credentials)) });
}

function inFolder(root: string): LargeObjects {
  return {
    write: async (key, parts, signal) => {
      const path = join(root, checkKey(key));
      const temporary = join(root, "~writing", randomUUID());
      await restated(key, async () => {
        await mkdir(dirname(temporary), { recursive: true });
        await mkdir(dirname(path), { recursive: true });
        try {
          await using file = await open(temporary, "wx");
          for await (const part of parts) {
            signal.throwIfAborted();
            await file.writeFile(part);
          }
          await file.sync();
          await rename(temporary, path);
        } finally {
          await rm(temporary, { force: true });
        }
      });
    },
  };
}

function inS3(options: S3Options): LargeObjects {
  const access = s3Access(options);
  const retry = retrier();
  const encryption = options.sse === undefined ? {} : ({ ServerSideEncryption: options.sse === "s3" ? "AES256" : "aws:kms" } as const);
  const kms = options.kmsKey === undefined ? {} : { SSEKMSKeyId: options.kmsKey };
  return {
    write: async (key, parts, signal) => {
      const at = { Bucket: options.bucket, Key: `${options.prefix}${checkKey(key)}` };
      const client = access.client();
      const abortSignal = { abortSignal: signal };
      const steadily = <T>(call: () => Promise<T>) => retry.run(() => restated(key, call), signal);
      const { UploadId } = await steadily(() =>
        client.send(new CreateMultipartUploadCommand({ ...at, ...encryption, ...kms }), abortSignal),
      );
      const send = async (Body: Uint8Array, PartNumber: number): Promise<CompletedPart> => {
        const { ETag } = await steadily(() => client.send(new UploadPartCommand({ ...at, UploadId, PartNumber, Body }), abortSignal));
        return { PartNumber, ETag };
      };
      try {
        const Parts = await sendAhead(inParts(parts, partBytes), send, partsAtOnce);
        await steadily(() => client.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts } }), abortSignal));
      } catch (error) {
        // Parts of an upload that is never completed cost money; one that cannot be dropped now is the bucket's lifecycle's.
        await client.send(new AbortMultipartUploadCommand({ ...at, UploadId })).catch(() => undefined);
        throw error;
      }
    },
  };
}

/** Parts travel while the next one fills; all have ended when this returns or throws. */
async function sendAhead<T>(
  parts: AsyncIterable<Uint8Array>,
  send: (part: Uint8Array, number: number) => Promise<T>,
  atOnce: number,
): Promise<T[]> {
  const sent: Promise<T>[] = [];
  try {
    for await (const part of parts) {
      const before = sent[sent.length - atOnce];
      if (before) await before;
      const going = send(part, sent.length + 1);
      going.catch(() => undefined); // Told when it is waited for.
      sent.push(going);
    }
    return await Promise.all(sent);
  } finally {
    await Promise.allSettled(sent);
  }
}

async function* inParts(bytes: AsyncIterable<Uint8Array>, length: number): AsyncGenerator<Buffer> {
  let part = Buffer.allocUnsafe(length);
  let filled = 0;
  for await (const piece of bytes) {
    for (let at = 0; at < piece.byteLength;) {
      const step = Math.min(piece.byteLength - at, length - filled);
      part.set(piece.subarray(at, at + step), filled);
      [at, filled] = [at + step, filled + step];
      if (filled < length) continue;
      yield part;
      [part, filled] = [Buffer.allocUnsafe(length), 0];
    }
  }
  if (filled > 0) yield part.subarray(0, filled);
}

function inAzure(options: Parameters<typeof azureClient>[0]): LargeObjects {
  const retry = retrier();
  return {
    write: async (key, parts, signal) => {
      const steadily = <T>(call: () => Promise<T>) => retry.run(() => restated(key, call), signal);
      const { container } = await azureClient(options);
      const blob = container.getBlockBlobClient(`${options.prefix}${checkKey(key)}`);
      const abortSignal = { abortSignal: signal };
      // Of one length, and nobody else's: two attempts do not mix their blocks.
      const attempt = randomUUID();
      const send = async (block: Uint8Array, number: number): Promise<string> => {
        const id = Buffer.from(`${attempt}-${String(number).padStart(5, "0")}`).toString("base64");
        const transactionalContentMD5 = createHash("md5").update(block).digest();
        await steadily(() => blob.stageBlock(id, block, block.byteLength, { ...abortSignal, transactionalContentMD5 }));
        return id;
      };
      const ids = await sendAhead(inParts(parts, blockBytes), send, blocksAtOnce);
      await steadily(() => blob.commitBlockList(ids, abortSignal));
    },
  };
}

/** What the providers throw, in the words of the port; cancellation passes, and so does what the bytes' own source threw. */
async function restated<T>(key: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    if (cause instanceof FaultError || !(cause instanceof Error) || cause.name === "AbortError") throw cause;
    const code = "code" in cause && typeof cause.code === "string" ? cause.code : cause.name;
    if (code === "ENOSPC" || code === "EDQUOT")
      throw new FaultError(
        { code: "no_space", message: `The disk of the folder store is full; ${key} was not written.`, subject: key },
        { cause },
      );
    const status = statusOf(cause);
    if (status === 401 || status === 403 || ["EACCES", "EPERM", "EROFS"].includes(code)) throw storeDenied(key, code, cause);
    throw storeUnavailable(key, status === undefined ? code : `${code} (${status})`, cause);
  }
}

function statusOf(cause: Error): number | undefined {
  if ("statusCode" in cause && typeof cause.statusCode === "number") return cause.statusCode;
  if (!("$metadata" in cause) || typeof cause.$metadata !== "object" || cause.$metadata === null) return undefined;
  return "httpStatusCode" in cause.$metadata && typeof cause.$metadata.httpStatusCode === "number"
    ? cause.$metadata.httpStatusCode
    : undefined;
}
