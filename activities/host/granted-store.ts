/**
 * A store as one transfer may use it: every object by a grant of the hub, nothing by credentials.
 *
 * The one idea: it looks like any store to the image engine. Keys that are wanted in the same moment are asked for together, a grant is used until it is
 * about to end, and one that the store refuses is renewed once.
 */
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { setTimeout as after } from "node:timers/promises";
import { type Code, FaultError } from "../../domain/errors.ts";
import type { GrantedObject } from "../../domain/hosts/schema.ts";
import { checksumRefused, objectMissing, storeDenied, storeUnavailable } from "../../stores/faults.ts";
import type { ByteRange, ObjectStore, WriteOutcome } from "../../stores/object-store.ts";
import { grantBatches, type GrantAsk } from "./granted-batches.ts";
import type { HubLink } from "./hub-link.ts";

export interface GrantedStore extends Pick<ObjectStore, "read" | "write" | "size"> {
  /** Draws the fence of a new attempt; the one before may write nothing any more. */
  begin(): Promise<number>;
}

/** A gateway that restarts is back within seconds: 0.25 + 0.5 + 1 + 2 + 4 s. */
const attempts = 6;

export function grantedStore(link: Pick<HubLink, "grants" | "send" | "now">, operationId: string, signal: AbortSignal): GrantedStore {
  let fence: number | undefined;
  const batches = grantBatches(
    (asked) => link.grants({ operationId, ...asked, ...(fence === undefined ? {} : { fence }) }, signal),
    link.now,
  );
  const act = <T>(ask: GrantAsk, within: AbortSignal, use: (object: GrantedObject, either: AbortSignal) => Promise<T>) => {
    const either = AbortSignal.any([signal, within]);
    return withGrant(batches, ask, either, (object) => use(object, either));
  };
  return {
    begin: async () => {
      const answer = await link.grants({ operationId, begin: true }, signal);
      fence = answer.fence;
      return answer.fence;
    },
    read: (key, range, within) => act({ key }, within, (object, either) => read(link, object, range, either)),
    write: (key, body, sha256, within) =>
      act({ key, sha256, bytes: body.byteLength }, within, (object, either) => write(link, object, body, either)),
    size: (key) => patiently(() => sizeOf(link, operationId, key, signal), signal),
  };
}

/** Runs one request on its grant; a grant that is refused is renewed once. */
function withGrant<T>(
  batches: ReturnType<typeof grantBatches>,
  ask: GrantAsk,
  signal: AbortSignal,
  use: (object: GrantedObject) => Promise<T>,
): Promise<T> {
  let renewed = false;
  const once = async (): Promise<T> => {
    const object = await batches.grant(ask);
    try {
      return await use(object);
    } catch (error) {
      if (renewed || signal.aborted || !isFault(error, "grant_refused", "unauthenticated")) throw error;
      renewed = true;
      batches.forget(ask);
      return once();
    }
  };
  return patiently(once, signal);
}

/** Tries on while the far end is away. */
async function patiently<T>(act: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await act();
    } catch (error) {
      if (signal.aborted || attempt >= attempts || !isFault(error, "hub_unavailable", "store_unavailable")) throw error;
      await after(125 * 2 ** attempt, undefined, { signal });
    }
  }
}

const isFault = (error: unknown, ...codes: Code[]): boolean => error instanceof FaultError && codes.includes(error.fault.code);

async function read(
  link: Pick<HubLink, "send">,
  object: GrantedObject,
  range: ByteRange | null,
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array>> {
  const ranged: Record<string, string> = range ? { range: `bytes=${range.offsetBytes}-${range.offsetBytes + range.lengthBytes - 1}` } : {};
  const answer = await sent(link, object, ranged, undefined, signal);
  if (answer.ok) return answer.body();
  throw await answer.fault();
}

async function write(link: Pick<HubLink, "send">, object: GrantedObject, body: Uint8Array, signal: AbortSignal): Promise<WriteOutcome> {
  const answer = await sent(link, object, {}, body, signal);
  if (answer.ok) return answer.outcome();
  // The store's word for: somebody else already brought this object.
  if (answer.status === 412) return "present";
  throw await answer.fault();
}

async function sizeOf(link: Pick<HubLink, "send">, operationId: string, key: string, signal: AbortSignal): Promise<number | null> {
  const answer = await link.send({ method: "HEAD", path: `/host/v1/objects/${key}?operation=${operationId}`, authorised: true, signal });
  answer.resume();
  if (answer.statusCode === 404) return null;
  if (answer.statusCode === 200) return Number(answer.headers["x-object-bytes"]);
  if (answer.statusCode !== undefined && answer.statusCode >= 500) throw storeUnavailable(key, `the gateway answered ${answer.statusCode}`);
  throw refusedGrant(key);
}

interface Answer {
  readonly ok: boolean;
  readonly status: number;
  body(): ReadableStream<Uint8Array>;
  outcome(): Promise<WriteOutcome>;
  fault(): Promise<FaultError>;
}

/** Our own objects go through the pinned link; a store's own address is public and needs nothing but its signature. */
async function sent(
  link: Pick<HubLink, "send">,
  object: GrantedObject,
  extra: Record<string, string>,
  body: Uint8Array | undefined,
  signal: AbortSignal,
): Promise<Answer> {
  const headers = { ...object.headers, ...extra };
  const { key, method, url } = object;
  if (url.startsWith("/")) return fromGateway(key, await link.send({ method, path: url, headers, signal, ...(body ? { body } : {}) }));
  const answer = await fetch(url, { method, headers, signal, ...(body ? { body: new Uint8Array(body) } : {}) }).catch((cause: unknown) => {
    throw signal.aborted ? cause : storeUnavailable(key, "it cannot be reached", cause);
  });
  return fromStore(key, answer);
}

function fromGateway(key: string, answer: IncomingMessage): Answer {
  const status = answer.statusCode ?? 0;
  return {
    status,
    ok: status < 300,
    body: () => Readable.toWeb(answer) as ReadableStream<Uint8Array>,
    outcome: async () => {
      answer.resume();
      return status === 201 ? "written" : "present";
    },
    fault: async () => faultOf(key, status, await textOf(Readable.toWeb(answer) as ReadableStream<Uint8Array>)),
  };
}

function fromStore(key: string, answer: Response): Answer {
  return {
    status: answer.status,
    ok: answer.ok,
    body: () => answer.body ?? new Blob([]).stream(),
    outcome: async () => {
      await answer.body?.cancel();
      return "written";
    },
    fault: async () => faultOf(key, answer.status, await answer.text().catch(() => "")),
  };
}

function faultOf(key: string, status: number, text: string): FaultError {
  const told = toldOf(text);
  if (status === 404 || told === "store_object_missing") return objectMissing(key);
  if (told === "store_denied") return storeDenied(key);
  if (status === 401 || status === 403) return refusedGrant(key);
  if (status === 400 && /digest|checksum|sha256/i.test(text)) return checksumRefused(key);
  if (told === "content_corrupt") return checksumRefused(key);
  return storeUnavailable(key, `it answered ${status}`);
}

/** The gateway says in our own words what the store answered it; a store of its own kind speaks XML or nothing. */
function toldOf(text: string): unknown {
  try {
    const { code } = JSON.parse(text) as { code?: unknown };
    return code;
  } catch {
    return undefined;
  }
}

const refusedGrant = (key: string) =>
  new FaultError({ code: "grant_refused", message: `The right to ${key} ended or was never given.`, subject: key });

/** A refusal is short; more than this is no refusal of ours. */
const refusalBytes = 64 * 1024;

async function textOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of stream) {
    bytes += part.byteLength;
    if (bytes > refusalBytes) break;
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}
