/**
 * A store as one transfer may use it: every object by a grant of the hub, nothing by credentials.
 *
 * The one idea: it looks like any store to the image engine. Keys that are wanted in the same moment are asked for together, a grant is used until it is
 * about to end, and one that is refused is renewed once: what refuses a fresh one refuses the hub's credentials. An answer that breaks off is gone on with,
 * by another grant if need be.
 */
import type { IncomingMessage } from "node:http";
import { type Code, FaultError } from "../../domain/errors.ts";
import { checksumRefused, endsBefore, objectMissing, storeDenied, storeUnavailable } from "../../stores/faults.ts";
import type { ByteRange, ObjectStore, WriteOutcome } from "../../stores/object-store.ts";
import type { StoreGate } from "../../images/store-gate.ts";
import { retrier } from "../../stores/retry.ts";
import { expectedBytes, steadyRead, type OpenedRead } from "../../stores/steady-read.ts";
import { grantBatches, type GrantAsk, type Granted } from "./granted-batches.ts";
import type { HubLink } from "./hub-link.ts";
import { patiently } from "./patience.ts";

export interface GrantedStore extends Pick<ObjectStore, "read" | "write" | "size"> {
  /** Draws the fence of a new attempt; the one before may write nothing any more. */
  begin(): Promise<number>;
}

type Link = Pick<HubLink, "grants" | "send" | "stores" | "gates" | "now">;

/** How soon a transfer hears of a store's limits, and that it shares them with more or fewer hosts. */
const askAgainMs = 15_000;

export interface GrantedOptions {
  /** Attempts before this one may have brought packs that nobody here wrote down. */
  readonly again?: boolean;
}

export function grantedStore(link: Link, operationId: string, signal: AbortSignal, { again = false }: GrantedOptions = {}): GrantedStore {
  let fence: number | undefined;
  const limits: { gate: StoreGate | null; toldAt: number } = { gate: null, toldAt: 0 };
  const batches = grantBatches(async (asked) => {
    const answer = await link.grants({ operationId, ...asked, ...(fence === undefined ? {} : { fence }) }, signal);
    limits.gate = link.gates.learn(answer.share);
    limits.toldAt = performance.now();
    return answer;
  }, link.now);
  // Each try by itself is patient already.
  const retry = { ...retrier(), run: <T>(once: () => Promise<T>) => once() };
  const act = <T>(ask: GrantAsk, within: AbortSignal, use: (object: Granted, either: AbortSignal) => Promise<T>) => {
    const either = AbortSignal.any([signal, within]);
    // A grant that is held tells nothing new.
    if (performance.now() - limits.toldAt > askAgainMs) batches.forget(ask);
    return withGrant(batches, ask, either, (object) => use(object, either));
  };
  return {
    begin: async () => {
      const answer = await link.grants({ operationId, begin: true }, signal);
      fence = answer.fence;
      return answer.fence;
    },
    read: (key, range, within) => {
      const open = (wanted: ByteRange | null, until: AbortSignal) =>
        act({ key }, until, (object, either) => openedWithin(limits.gate, wanted, either, () => opened(link, object, wanted, either)));
      return steadyRead({ key, range, open, retry, signal: AbortSignal.any([signal, within]) });
    },
    write: (key, body, sha256, within) => {
      let tried = again;
      return act({ key, sha256, bytes: body.byteLength }, within, async (object, either) => {
        // The answer may have been lost after the store took it all, with the attempt even: a pack is asked for before it travels again. By now nobody removes it.
        if (tried && isPack(key) && (await sizeOf(link, operationId, key, either)) === body.byteLength) return "present";
        tried = true;
        return sentWithin(limits.gate, body, either, () => write(link, object, body, either));
      });
    },
    size: (key) => patiently(() => sizeOf(link, operationId, key, signal), signal),
  };
}

/** The request has its place until its answer has come or was given up. */
async function openedWithin(
  gate: StoreGate | null,
  range: ByteRange | null,
  signal: AbortSignal,
  open: () => Promise<OpenedRead>,
): Promise<OpenedRead> {
  if (!gate) return open();
  const leave = await gate.enter(signal);
  try {
    if (range) await gate.take(range.lengthBytes, signal);
    const answer = await open();
    if (answer.body.closed) leave();
    else answer.body.once("close", leave);
    if (!range && answer.bytes !== null) await gate.take(answer.bytes, signal);
    return answer;
  } catch (error) {
    leave();
    throw error;
  }
}

async function sentWithin<T>(gate: StoreGate | null, body: Uint8Array, signal: AbortSignal, send: () => Promise<T>): Promise<T> {
  if (!gate) return send();
  const leave = await gate.enter(signal);
  try {
    await gate.take(body.byteLength, signal);
    return await send();
  } finally {
    leave();
  }
}

const isPack = (key: string): boolean => key.includes("/packs/");

/** Runs one request on its grant; a grant that is refused is renewed once. */
function withGrant<T>(
  batches: ReturnType<typeof grantBatches>,
  ask: GrantAsk,
  signal: AbortSignal,
  use: (object: Granted) => Promise<T>,
): Promise<T> {
  let renewed = false;
  const once = async (): Promise<T> => {
    const object = await batches.grant(ask);
    try {
      return await use(object);
    } catch (error) {
      if (renewed || signal.aborted || !isFault(error, "grant_refused", "store_denied", "unauthenticated")) throw error;
      renewed = true;
      batches.forget(ask);
      return once();
    }
  };
  return patiently(once, signal);
}

const isFault = (error: unknown, ...codes: Code[]): boolean => error instanceof FaultError && codes.includes(error.fault.code);

async function opened(link: Link, object: Granted, range: ByteRange | null, signal: AbortSignal): Promise<OpenedRead> {
  const ranged: Record<string, string> = range ? { range: `bytes=${range.offsetBytes}-${range.offsetBytes + range.lengthBytes - 1}` } : {};
  const answer = await sent(link, object, ranged, undefined, signal);
  if (answer.ok) return answer.opened(range);
  throw range && answer.status === 416 ? endsBefore(object.key, range.offsetBytes) : await answer.fault();
}

async function write(link: Link, object: Granted, body: Uint8Array, signal: AbortSignal): Promise<WriteOutcome> {
  const answer = await sent(link, object, {}, body, signal);
  const outcome = answer.outcome();
  if (outcome !== null) return outcome;
  throw await answer.fault();
}

async function sizeOf(link: Link, operationId: string, key: string, signal: AbortSignal): Promise<number | null> {
  const answer = await link.send({ method: "HEAD", path: `/host/v1/objects/${key}?operation=${operationId}`, authorised: true, signal });
  answer.resume();
  const { statusCode: status = 0, headers } = answer;
  if (status === 404) return null;
  if (status === 200) return Number(headers["x-object-bytes"]);
  throw gatewayFault(key, status, { code: headers["x-drover-fault"] });
}

interface Answer {
  readonly ok: boolean;
  readonly status: number;
  opened(range: ByteRange | null): OpenedRead;
  /** Null when nothing was written. */
  outcome(): WriteOutcome | null;
  fault(): Promise<FaultError>;
}

/** Our own objects go through the pinned link; a store's own address is public and needs nothing but its signature. */
async function sent(
  link: Link,
  { key, method, url, headers: granted, ca }: Granted,
  extra: Record<string, string>,
  body: Uint8Array | undefined,
  signal: AbortSignal,
): Promise<Answer> {
  const headers = { ...granted, ...extra };
  const sized = body === undefined ? headers : { ...headers, "content-length": String(body.byteLength) };
  if (!url.startsWith("/")) {
    const answer = await link.stores.send({ key, method, url, headers: sized, body, ca, signal });
    return answered(key, answer, "written", (text) => storeFault(key, answer.statusCode ?? 0, text));
  }
  const answer = await link.send({ method, path: url, headers, signal, ...(body ? { body } : {}) });
  const status = answer.statusCode ?? 0;
  return answered(key, answer, status === 201 ? "written" : "present", (text) => gatewayFault(key, status, parsed(text)));
}

function answered(key: string, answer: IncomingMessage, success: WriteOutcome, faultOf: (text: string) => FaultError): Answer {
  const { statusCode: status = 0, headers } = answer;
  const ok = status < 300;
  const opened = (range: ByteRange | null): OpenedRead => {
    const { "content-range": contentRange, "content-length": length } = headers;
    return {
      body: answer,
      bytes: expectedBytes(key, range, { contentRange, contentLength: length === undefined ? undefined : Number(length) }),
    };
  };
  return {
    ok,
    status,
    opened,
    outcome: () => {
      // 412 is the store's word for: somebody else already brought this object.
      if (!ok && status !== 412) return null;
      answer.resume();
      return ok ? success : "present";
    },
    // Where even the refusal breaks off, its status still tells.
    fault: async () => faultOf(await textOf(answer).catch(() => "")),
  };
}

/** A store of its own kind speaks XML or nothing; its word for the reason helps whoever mends it. */
function storeFault(key: string, status: number, text: string): FaultError {
  const word = /<Code>(\w{1,64})<\/Code>/.exec(text)?.[1];
  if (status === 401 || status === 403) return storeDenied(key, word);
  if (status === 400 && /digest|checksum|sha256/i.test(text)) return checksumRefused(key);
  // Without its bucket or container a store has none of its objects: that is no damage to an image.
  if (status === 404 && word !== "NoSuchBucket" && word !== "ContainerNotFound") return objectMissing(key);
  return storeUnavailable(key, `it answered ${word === undefined ? status : `${word} (${status})`}`);
}

/** What the gateway tells of a store or of itself goes on in its own words. */
const passedOn = ["store_object_missing", "store_denied", "store_unavailable", "content_corrupt", "hub_unavailable"] as const;

function gatewayFault(key: string, status: number, told: { code?: unknown; message?: unknown }): FaultError {
  const code = passedOn.find((word) => word === told.code);
  if (code !== undefined && typeof told.message === "string") return new FaultError({ code, message: told.message, subject: key });
  if (code === "store_denied") return storeDenied(key);
  if (code === "hub_unavailable") return hubAway(key);
  if (status === 404) return objectMissing(key);
  if (status === 401 || status === 403) return refusedGrant(key);
  return storeUnavailable(key, code === "store_unavailable" ? "the hub cannot reach it" : `the gateway answered ${status}`);
}

function parsed(text: string): { code?: unknown; message?: unknown } {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

const hubAway = (key: string) =>
  new FaultError({ code: "hub_unavailable", message: `The hub could not hand out ${key} at the moment.`, subject: key });

const refusedGrant = (key: string) =>
  new FaultError({ code: "grant_refused", message: `The right to ${key} ended or was never given.`, subject: key });

/** A refusal is short; more than this is no refusal of ours. */
const refusalBytes = 64 * 1024;

async function textOf(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of stream) {
    bytes += part.byteLength;
    if (bytes > refusalBytes) break;
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}
