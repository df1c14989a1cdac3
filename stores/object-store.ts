/**
 * The object store port: a flat room of immutable objects, seen through the five verbs that the image engine needs.
 *
 * Objects are named by their content or written once, so a write never replaces anything: it answers whether this call wrote the object or found it there.
 * That makes every write an ensure, and leaves no need for locks.
 */
import { FaultError } from "../domain/errors.ts";

export interface ByteRange {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** Whether this call wrote the object, or found one of that key and left it alone. */
export type WriteOutcome = "written" | "present";

export interface StoredObject {
  readonly key: string;
  readonly bytes: number;
  /** By the store's clock, which is not ours. */
  readonly modifiedAt: Date;
}

/** The right to read or write one whole object for a while, usable without any credentials. */
export interface PresignedRequest {
  readonly method: "GET" | "PUT";
  readonly url: string;
  /** Headers that the request must carry exactly so, besides what a range read adds. */
  readonly headers: Readonly<Record<string, string>>;
  readonly expiresAt: Date;
}

export type PresignAsk =
  | { readonly method: "GET"; readonly key: string; readonly ttlSeconds: number }
  | { readonly method: "PUT"; readonly key: string; readonly sha256: string; readonly ttlSeconds: number };

export interface ObjectStore {
  /**
   * The bytes of a range, or of the whole object for `null`; fails with `store_object_missing` when there is no such object, and with
   * `content_corrupt` when it ends before the range begins.
   */
  read(key: string, range: ByteRange | null, signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
  /** Writes a whole object, checked against its SHA-256 (hex) before it becomes visible; never replaces one that is there. */
  write(key: string, body: Uint8Array, sha256: string, signal: AbortSignal): Promise<WriteOutcome>;
  /** Size in bytes, or `null` when there is no such object: absence is an answer, not an error. */
  size(key: string): Promise<number | null>;
  list(prefix: string): AsyncIterable<StoredObject>;
  /** Succeeds when the object is already gone. */
  remove(key: string): Promise<void>;
  /** Absent on providers without presigned requests, null for what one cannot bind to these very bytes; there the host gateway carries them. */
  readonly presign?: (ask: PresignAsk) => Promise<PresignedRequest | null>;
  /** Certificates (PEM) that the server of presigned requests is known by, besides the well-known ones. */
  readonly authority?: string | undefined;
}

/** What a key may look like: path segments, none of them able to leave the store's prefix. Ours are plain words; archives of other services have any name. */
const segment = /^(?!~)[^/\\\p{Cc}]+$/u;

/** Refuses a key that an adapter could mistake for a way out of its folder or prefix. */
export function checkKey(key: string): string {
  const parts = key.split("/");
  const plain = parts.every((part) => segment.test(part) && part !== "." && part !== "..");
  if (!plain || key.length > 900)
    throw new FaultError({ code: "store_invalid", message: `"${key}" is not a key of a store.`, subject: key });
  return key;
}

/** Collects a read to its end; refuses more than `limitBytes`, so that a lying store cannot fill the memory. */
export async function readAll(stream: ReadableStream<Uint8Array>, what: string, limitBytes: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of stream) {
    bytes += part.byteLength;
    if (bytes > limitBytes) {
      throw new FaultError({
        code: "content_corrupt",
        message: `The store answered more than ${limitBytes} bytes for ${what}.`,
        subject: what,
      });
    }
    parts.push(part);
  }
  return Buffer.concat(parts, bytes);
}
