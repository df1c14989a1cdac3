/**
 * S3, and what speaks like it (MinIO, SeaweedFS, ...), as a store.
 *
 * Each write carries the SHA-256 of its bytes, which the server checks, and `If-None-Match: *`, so that 412 means: somebody else already brought this object.
 * The server's own checksum is compared where it answers one for the whole; of ranges it is not asked for: servers exist that answer a range with the
 * checksum of the whole object, and the engine verifies every chunk anyway.
 */
import type { Readable } from "node:stream";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3ServiceException,
} from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { FaultError } from "../domain/errors.ts";
import { checksumRefused, endsBefore, objectMissing, plainCause, storeCorrupt, storeDenied, storeUnavailable } from "./faults.ts";
import {
  checkKey,
  type ByteRange,
  type ObjectStore,
  type PresignAsk,
  type PresignedRequest,
  type StoredObject,
  type WriteOutcome,
} from "./object-store.ts";
import { retrier, retryAfterMs, type Retry } from "./retry.ts";
import { s3Access, type S3Access, type S3Options } from "./s3-client.ts";
import { expectedBytes, steadyRead, type OpenedRead } from "./steady-read.ts";

/** Where objects lie, and how they are reached. */
interface Place {
  readonly access: S3Access;
  readonly retry: Retry;
  readonly bucket: string;
  readonly prefix: string;
  readonly encryption: Encryption;
}

interface Encryption {
  readonly ServerSideEncryption?: "AES256" | "aws:kms";
  readonly SSEKMSKeyId?: string;
}

export function s3Store(options: S3Options): ObjectStore {
  const { bucket, prefix, ca } = options;
  const place: Place = { access: s3Access(options), retry: retrier(), bucket, prefix, encryption: encryptionOf(options) };
  const steadily = <T>(key: string, call: () => Promise<T>, signal?: AbortSignal) =>
    place.retry.run(() => restated(place, key, call), signal);
  return {
    read: (key, range, signal) => {
      const open = (wanted: ByteRange | null, within: AbortSignal) =>
        restated(place, key, () => opened(place, key, wanted, within), wanted);
      return steadyRead({ key, range, open, retry: place.retry, signal });
    },
    write: (key, body, sha256, signal) => {
      let tried = false;
      const once = async () => {
        // A server that has the object may refuse it so early that its answer is lost with the connection; so may an answer that it was taken.
        if (tried && key.endsWith(sha256) && (await size(place, key)) === body.byteLength) return "present";
        tried = true;
        return write(place, key, body, sha256, signal);
      };
      return steadily(key, once, signal);
    },
    size: (key) => steadily(key, () => size(place, key)),
    list: (prefix) => list(place, prefix),
    remove: (key) => steadily(key, async () => void (await place.access.client().send(new DeleteObjectCommand(at(place, key))))),
    presign: (ask) => steadily(ask.key, () => presign(place, ask)),
    authority: ca,
  };
}

function encryptionOf({ sse, kmsKey }: S3Options): Encryption {
  if (sse === undefined) return {};
  if (sse === "s3") return { ServerSideEncryption: "AES256" };
  return { ServerSideEncryption: "aws:kms", ...(kmsKey === undefined ? {} : { SSEKMSKeyId: kmsKey }) };
}

const at = ({ bucket, prefix }: Place, key: string) => ({ Bucket: bucket, Key: `${prefix}${checkKey(key)}` });

/** The headers of a request as the SDK hands them on, before it is signed. */
type Sent = { request: { headers: Record<string, string> } };

async function opened(place: Place, key: string, range: ByteRange | null, signal: AbortSignal): Promise<OpenedRead> {
  const bytes = range ? { Range: `bytes=${range.offsetBytes}-${range.offsetBytes + range.lengthBytes - 1}` } : {};
  const command = new GetObjectCommand({ ...at(place, key), ...bytes });
  if (!range)
    command.middlewareStack.add(
      (next) => (args) => {
        // As a header only: told by its parameter, the SDK compares by itself and ends with an error that says nothing of damage.
        (args as unknown as Sent).request.headers["x-amz-checksum-mode"] = "ENABLED";
        return next(args);
      },
      { step: "build", name: "askForChecksum" },
    );
  const { Body, ContentLength, ContentRange, ChecksumSHA256 } = await place.access.client().send(command, { abortSignal: signal });
  if (!Body) throw storeUnavailable(key, "it answered without a body");
  // A checksum of parts, which ends in their number, is not of the bytes.
  const whole = range || ChecksumSHA256 === undefined || ChecksumSHA256.includes("-") ? undefined : ChecksumSHA256;
  return {
    body: Body as Readable,
    bytes: expectedBytes(key, range, { contentRange: ContentRange, contentLength: ContentLength }),
    digest: whole === undefined ? undefined : { algorithm: "sha256", hex: Buffer.from(whole, "base64").toString("hex") },
  };
}

async function write(place: Place, key: string, body: Uint8Array, sha256: string, signal: AbortSignal): Promise<WriteOutcome> {
  const command = new PutObjectCommand({
    ...at(place, key),
    ...place.encryption,
    Body: body,
    ContentLength: body.byteLength,
    ChecksumSHA256: base64(sha256),
    IfNoneMatch: "*",
  });
  command.middlewareStack.add(
    (next) => (args) => {
      // The signature covers the same SHA-256: told here, the SDK need not hash the bytes once more.
      (args as unknown as Sent).request.headers["x-amz-content-sha256"] = sha256;
      return next(args);
    },
    { step: "build", name: "knownPayloadHash" },
  );
  try {
    const { ChecksumSHA256: kept } = await place.access.client().send(command, { abortSignal: signal });
    if (kept !== undefined && kept !== base64(sha256)) throw storeCorrupt(key, "was kept with another SHA-256 than it was sent with");
    return "written";
  } catch (error) {
    if (statusOf(error) === 412) return "present";
    throw error;
  }
}

async function size(place: Place, key: string): Promise<number | null> {
  try {
    return (await place.access.client().send(new HeadObjectCommand(at(place, key)))).ContentLength ?? 0;
  } catch (error) {
    // A HEAD has no body, so a missing bucket looks like a missing object here; the next read or write names it.
    if (statusOf(error) === 404) return null;
    throw error;
  }
}

async function* list(place: Place, start: string): AsyncIterable<StoredObject> {
  const { access, retry, bucket, prefix } = place;
  let token: string | undefined;
  do {
    const ask = new ListObjectsV2Command({ Bucket: bucket, Prefix: `${prefix}${start}`, ContinuationToken: token });
    const page = await retry.run(() => restated(place, start, () => access.client().send(ask)));
    // What has no time counts as new: whoever collects by age then leaves it.
    for (const { Key = "", Size = 0, LastModified = new Date() } of page.Contents ?? [])
      yield { key: Key.slice(prefix.length), bytes: Size, modifiedAt: LastModified };
    token = page.NextContinuationToken;
  } while (token);
}

async function presign(place: Place, ask: PresignAsk): Promise<PresignedRequest> {
  const expiresAt = new Date(Date.now() + ask.ttlSeconds * 1000);
  const target = at(place, ask.key);
  const client = place.access.client();
  if (ask.method === "GET") {
    const url = await getSignedUrl(client, new GetObjectCommand(target), { expiresIn: ask.ttlSeconds });
    return { method: "GET", url, headers: {}, expiresAt };
  }
  const { ServerSideEncryption, SSEKMSKeyId } = place.encryption;
  const headers = {
    "x-amz-checksum-sha256": base64(ask.sha256),
    "if-none-match": "*",
    ...(ServerSideEncryption === undefined ? {} : { "x-amz-server-side-encryption": ServerSideEncryption }),
    ...(SSEKMSKeyId === undefined ? {} : { "x-amz-server-side-encryption-aws-kms-key-id": SSEKMSKeyId }),
  };
  const command = new PutObjectCommand({ ...target, ...place.encryption, ChecksumSHA256: base64(ask.sha256), IfNoneMatch: "*" });
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
async function restated<T>(place: Place, key: string, call: () => Promise<T>, range: ByteRange | null = null): Promise<T> {
  const used = place.access.client();
  try {
    return await call();
  } catch (cause) {
    if (cause instanceof FaultError || !(cause instanceof Error) || cause.name === "AbortError") throw cause;
    const fault = faultOf(place, key, cause, range);
    // Another try with what the environment offers by now.
    if (fault.fault.code === "store_denied" && place.access.renewed(used))
      throw storeUnavailable(key, "its credentials were read again", cause);
    throw fault;
  }
}

/** Words for credentials that are wrong or at their end, which some servers say with other statuses than 401 and 403. */
const credentialWords = /^(ExpiredToken|InvalidToken|TokenRefreshRequired|InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied)$/;

function faultOf({ bucket }: Place, key: string, error: Error, range: ByteRange | null): FaultError {
  const status = statusOf(error);
  const cause = plainCause(error, status);
  if (error.name === "CredentialsProviderError") return storeDenied(key, "there are no credentials", cause);
  if (!(error instanceof S3ServiceException)) return storeUnavailable(key, reasonOf(error), cause);
  if (error.name === "NoSuchBucket") {
    return new FaultError({ code: "store_invalid", message: `The store has no bucket "${bucket}".`, subject: bucket }, { cause });
  }
  if (status === 404) return objectMissing(key, cause);
  if (status === 416 && range) return endsBefore(key, range.offsetBytes);
  // The SDK has learnt the server's time from this answer, so the next try is signed right.
  const skewed = error.name === "RequestTimeTooSkewed";
  if (!skewed && (status === 401 || status === 403 || credentialWords.test(error.name))) return storeDenied(key, wordOf(error), cause);
  if (status === 400 && /digest|checksum|sha256/i.test(error.name + error.message)) return checksumRefused(key, cause);
  const reason = `it answered ${[wordOf(error), status].filter((word) => word !== undefined).join(" ")}`;
  return storeUnavailable(key, reason, cause, retryAfterMs(error.$response?.headers["retry-after"]));
}

/** An answer to HEAD carries no word, and the SDK then makes one up. */
const wordOf = ({ name }: S3ServiceException): string | undefined =>
  /^(Unknown|UnknownError|\d+|Forbidden)$/.test(name) ? undefined : name;

/** Node's own code of a network failure, which carries no address with secrets. */
function reasonOf(cause: Error): string {
  return "code" in cause && typeof cause.code === "string" ? cause.code : cause.name;
}
