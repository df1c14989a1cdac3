/**
 * Azure Blob Storage as a store.
 *
 * The service knows no SHA-256: the bytes are held against theirs here, and travel with their MD5, which the service checks. `If-None-Match: *` keeps what is
 * there. Reads are signed for one blob each; writes are not, since such a signature cannot be bound to the bytes: a host could put others under the name of
 * a pack that several images share. They pass the gateway.
 */
import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import type { RestError } from "@azure/storage-blob";
import { FaultError } from "../domain/errors.ts";
import { azureClient, type AzureClient, type AzureOptions } from "./azure-client.ts";
import { checksumRefused, endsBefore, objectMissing, plainCause, storeDenied, storeUnavailable } from "./faults.ts";
import { checkKey, type ByteRange, type ObjectStore, type StoredObject, type WriteOutcome } from "./object-store.ts";
import { retrier, retryAfterMs, type Retry } from "./retry.ts";
import { expectedBytes, steadyRead, type OpenedRead } from "./steady-read.ts";

interface Place {
  client(): Promise<AzureClient>;
  readonly retry: Retry;
  readonly container: string;
  readonly prefix: string;
}

export function azureStore(options: AzureOptions): ObjectStore {
  let opened: Promise<AzureClient> | undefined;
  const { container, prefix } = options;
  const place: Place = { client: () => (opened ??= azureClient(options)), retry: retrier(), container, prefix };
  const steadily = <T>(key: string, call: () => Promise<T>, signal?: AbortSignal) =>
    place.retry.run(() => restated(place, key, call), signal);
  return {
    read: async (key, range, signal) => {
      const open = (wanted: ByteRange | null, within: AbortSignal) => restated(place, key, () => begin(place, key, wanted, within), wanted);
      return steadyRead({ key, range, open, retry: place.retry, signal });
    },
    write: (key, body, sha256, signal) => steadily(key, () => write(place, key, body, sha256, signal), signal),
    size: (key) => steadily(key, () => size(place, key)),
    list: (start) => list(place, start),
    remove: (key) => steadily(key, async () => void (await (await blobAt(place, key)).deleteIfExists())),
    presign: async (ask) => {
      if (ask.method === "PUT") return null;
      const expiresAt = new Date(Date.now() + ask.ttlSeconds * 1000);
      const name = `${prefix}${checkKey(ask.key)}`;
      const url = await steadily(ask.key, async () => (await place.client()).signedUrl(name, expiresAt));
      return url === null ? null : { method: "GET", url, headers: {}, expiresAt };
    },
    authority: options.ca,
  };
}

const blobAt = async ({ client, prefix }: Place, key: string) => (await client()).container.getBlockBlobClient(`${prefix}${checkKey(key)}`);

async function begin(place: Place, key: string, range: ByteRange | null, abortSignal: AbortSignal): Promise<OpenedRead> {
  abortSignal.throwIfAborted();
  const blob = await blobAt(place, key);
  // The SDK's own resumption is off: ours is the one that counts.
  const answer = await blob.download(range?.offsetBytes, range?.lengthBytes, { abortSignal, maxRetryRequests: 0 });
  if (!answer.readableStreamBody) throw storeUnavailable(key, "it answered without a body");
  const { contentMD5 } = answer;
  return {
    body: answer.readableStreamBody as Readable,
    bytes: expectedBytes(key, range, { contentRange: answer.contentRange, contentLength: answer.contentLength }),
    digest: contentMD5 && { algorithm: "md5", hex: Buffer.from(contentMD5).toString("hex") },
  };
}

async function write(place: Place, key: string, body: Uint8Array, sha256: string, abortSignal: AbortSignal): Promise<WriteOutcome> {
  abortSignal.throwIfAborted();
  if (createHash("sha256").update(body).digest("hex") !== sha256) throw checksumRefused(key);
  const blob = await blobAt(place, key);
  const blobContentMD5 = createHash("md5").update(body).digest();
  try {
    await blob.upload(body, body.byteLength, { abortSignal, conditions: { ifNoneMatch: "*" }, blobHTTPHeaders: { blobContentMD5 } });
    return "written";
  } catch (error) {
    if (isRestError(error) && (wordOf(error) === "BlobAlreadyExists" || error.statusCode === 412)) return "present";
    throw error;
  }
}

async function size(place: Place, key: string): Promise<number | null> {
  try {
    return (await (await blobAt(place, key)).getProperties()).contentLength ?? 0;
  } catch (error) {
    if (isRestError(error) && error.statusCode === 404 && wordOf(error) !== "ContainerNotFound") return null;
    throw error;
  }
}

async function* list(place: Place, start: string): AsyncIterable<StoredObject> {
  const { retry, prefix } = place;
  let continuationToken: string | undefined;
  do {
    const settings = { maxPageSize: 5000, ...(continuationToken === undefined ? {} : { continuationToken }) };
    const page = await retry.run(() =>
      restated(place, start, async () => {
        const { container } = await place.client();
        return (
          await container
            .listBlobsFlat({ prefix: `${prefix}${start}` })
            .byPage(settings)
            .next()
        ).value;
      }),
    );
    for (const { name, properties } of page?.segment.blobItems ?? [])
      yield { key: name.slice(prefix.length), bytes: properties.contentLength ?? 0, modifiedAt: properties.lastModified };
    continuationToken = page?.continuationToken;
  } while (continuationToken);
}

/** By its name: the class itself would load the SDK. */
const isRestError = (error: unknown): error is RestError => error instanceof Error && error.name === "RestError";

/** An answer to HEAD has it in a header only. */
const wordOf = ({ code, response }: RestError): string | undefined => code ?? response?.headers.get("x-ms-error-code");

/** Runs one call and restates its failure in the words of the port; cancellation passes as it is. */
async function restated<T>(place: Place, key: string, call: () => Promise<T>, range: ByteRange | null = null): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof FaultError || !(error instanceof Error) || error.name === "AbortError") throw error;
    if (isRestError(error)) throw faultOf(place, key, error, range);
    const cause = plainCause(error);
    // The library of identities throws by several names, and tells in many lines where it looked.
    if (/^(CredentialUnavailable|Authentication|AggregateAuthentication)/.test(error.name))
      throw storeDenied(key, "the environment of the hub offers no identity", cause);
    throw storeUnavailable(key, error.name, cause);
  }
}

function faultOf({ container }: Place, key: string, error: RestError, range: ByteRange | null): FaultError {
  const { statusCode: status } = error;
  const word = wordOf(error);
  const cause = plainCause(error, word, status);
  if (word === "ContainerNotFound") {
    return new FaultError({ code: "store_invalid", message: `The store has no container "${container}".`, subject: container }, { cause });
  }
  if (status === 404) return objectMissing(key, cause);
  if (status === 416 && range) return endsBefore(key, range.offsetBytes);
  if (status === 401 || status === 403) return storeDenied(key, word, cause);
  if (status === 400 && word === "Md5Mismatch") return checksumRefused(key, cause);
  const reason = `it answered ${[word, status].filter((part) => part !== undefined).join(" ")}`;
  return storeUnavailable(key, reason, cause, retryAfterMs(error.response?.headers.get("retry-after")));
}
