/**
 * S3, and what speaks like it (MinIO, SeaweedFS, ...), as a store.
 *
 * Each write carries the SHA-256 of its bytes, which the server checks, and `If-None-Match: *`, so that 412 means: somebody else already brought this object.
 * Checksums of answers are not asked for: servers exist that answer a range with the checksum of the whole object, and the engine verifies every chunk anyway.
 */
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { FaultError } from "../domain/errors.ts";
import { checksumRefused, objectMissing, storeDenied, storeUnavailable } from "./faults.ts";
import {
  checkKey,
  type ByteRange,
  type ObjectStore,
  type PresignAsk,
  type PresignedRequest,
  type StoredObject,
  type WriteOutcome,
} from "./object-store.ts";

export interface S3Options {
  readonly bucket: string;
  /** Below which all keys lie: empty, or ending in "/". */
  readonly prefix: string;
  readonly region: string;
  /** Another server than Amazon's; spoken to with the bucket in the path. */
  readonly endpoint?: string;
  readonly credentials?: S3Credentials;
}

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** Where one object lies, and how a failure about it is told. */
interface Place {
  readonly client: S3Client;
  readonly bucket: string;
  readonly prefix: string;
}

export function s3Store(options: S3Options): ObjectStore {
  const place: Place = { client: s3Client(options), bucket: options.bucket, prefix: options.prefix };
  return {
    read: (key, range, signal) => restated(place, key, () => read(place, key, range, signal)),
    write: (key, body, sha256, signal) => restated(place, key, () => write(place, key, body, sha256, signal)),
    size: (key) => restated(place, key, () => size(place, key)),
    list: (prefix) => list(place, prefix),
    remove: (key) => restated(place, key, async () => void (await place.client.send(new DeleteObjectCommand(at(place, key))))),
    presign: (ask) => restated(place, ask.key, () => presign(place, ask)),
  };
}

function s3Client({ endpoint, region, credentials }: S3Options): S3Client {
  return new S3Client({
    region,
    forcePathStyle: endpoint !== undefined,
    // One try and two more: a hiccup ends here; a longer outage is the caller's to retry, where an operator sees it.
    maxAttempts: 3,
    // Our own SHA-256 is sent with each write; the SDK's default would add a second checksum, which presigned writes cannot carry.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    // 10 s to connect; 60 s of silence: a pack of 16 MiB passes in that time at 300 KB/s.
    requestHandler: { connectionTimeout: 10_000, socketTimeout: 60_000 },
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
  });
}

const at = ({ bucket, prefix }: Place, key: string) => ({ Bucket: bucket, Key: `${prefix}${checkKey(key)}` });

async function read(place: Place, key: string, range: ByteRange | null, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  const bytes = range ? { Range: `bytes=${range.offsetBytes}-${range.offsetBytes + range.lengthBytes - 1}` } : {};
  const { Body } = await place.client.send(new GetObjectCommand({ ...at(place, key), ...bytes }), { abortSignal: signal });
  if (!Body) throw storeUnavailable(key, "it answered without a body");
  return Body.transformToWebStream();
}

async function write(place: Place, key: string, body: Uint8Array, sha256: string, signal: AbortSignal): Promise<WriteOutcome> {
  const command = new PutObjectCommand({
    ...at(place, key),
    Body: body,
    ContentLength: body.byteLength,
    ChecksumSHA256: base64(sha256),
    IfNoneMatch: "*",
  });
  command.middlewareStack.add(
    (next) => (args) => {
      // The signature covers the same SHA-256: told here, the SDK need not hash the bytes once more.
      (args.request as { headers: Record<string, string> }).headers["x-amz-content-sha256"] = sha256;
      return next(args);
    },
    { step: "build", name: "knownPayloadHash" },
  );
  try {
    await place.client.send(command, { abortSignal: signal });
    return "written";
  } catch (error) {
    if (statusOf(error) === 412) return "present";
    throw error;
  }
}

async function size(place: Place, key: string): Promise<number | null> {
  try {
    return (await place.client.send(new HeadObjectCommand(at(place, key)))).ContentLength ?? 0;
  } catch (error) {
    // A HEAD has no body, so a missing bucket looks like a missing object here; the next read or write names it.
    if (statusOf(error) === 404) return null;
    throw error;
  }
}

async function* list(place: Place, start: string): AsyncIterable<StoredObject> {
  const { client, bucket, prefix } = place;
  let token: string | undefined;
  do {
    const page = await restated(place, start, () =>
      client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: `${prefix}${start}`, ContinuationToken: token })),
    );
    // What has no time counts as new: whoever collects by age then leaves it.
    for (const { Key = "", Size = 0, LastModified = new Date() } of page.Contents ?? [])
      yield { key: Key.slice(prefix.length), bytes: Size, modifiedAt: LastModified };
    token = page.NextContinuationToken;
  } while (token);
}

async function presign(place: Place, ask: PresignAsk): Promise<PresignedRequest> {
  const expiresAt = new Date(Date.now() + ask.ttlSeconds * 1000);
  const target = at(place, ask.key);
  const { client } = place;
  if (ask.method === "GET") {
    const url = await getSignedUrl(client, new GetObjectCommand(target), { expiresIn: ask.ttlSeconds });
    return { method: "GET", url, headers: {}, expiresAt };
  }
  const headers = { "x-amz-checksum-sha256": base64(ask.sha256), "if-none-match": "*" };
  const command = new PutObjectCommand({ ...target, ChecksumSHA256: base64(ask.sha256), IfNoneMatch: "*" });
  // Headers kept out of the query are part of the signature: whoever holds the URL can write these very bytes, once, and nothing else.
  const unhoistableHeaders = new Set(Object.keys(headers));
  const url = await getSignedUrl(client, command, {
    expiresIn: ask.ttlSeconds,
    unhoistableHeaders,
    signableHeaders: new Set(["host", ...unhoistableHeaders]),
  });
  return { method: "PUT", url, headers, expiresAt };
}

const base64 = (hex: string) => Buffer.from(hex, "hex").toString("base64");

function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
}

/** Runs one call and restates its failure in the words of the port; cancellation passes as it is. */
async function restated<T>(place: Place, key: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    if (cause instanceof FaultError || !(cause instanceof Error) || cause.name === "AbortError") throw cause;
    if (cause.name === "CredentialsProviderError") throw storeDenied(key, "there are no credentials", cause);
    if (!(cause instanceof S3ServiceException)) throw storeUnavailable(key, reasonOf(cause), cause);
    throw fromService(place, key, cause);
  }
}

function fromService({ bucket }: Place, key: string, cause: S3ServiceException): FaultError {
  const status = statusOf(cause);
  if (cause.name === "NoSuchBucket") {
    return new FaultError({ code: "store_invalid", message: `The store has no bucket "${bucket}".`, subject: bucket }, { cause });
  }
  if (status === 404) return objectMissing(key, cause);
  if (status === 401 || status === 403) return storeDenied(key, wordOf(cause), cause);
  if (status === 400 && /digest|checksum|sha256/i.test(cause.name + cause.message)) return checksumRefused(key, cause);
  return storeUnavailable(key, `${cause.name}${status === undefined ? "" : ` (${status})`}`, cause);
}

/** An answer to HEAD carries no word, and the SDK then makes one up. */
const wordOf = ({ name }: S3ServiceException): string | undefined =>
  /^(Unknown|UnknownError|\d+|Forbidden)$/.test(name) ? undefined : name;

/** Node's own code of a network failure, which carries no address with secrets. */
function reasonOf(cause: Error): string {
  return "code" in cause && typeof cause.code === "string" ? cause.code : cause.name;
}
