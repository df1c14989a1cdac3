/**
 * `GET|PUT|HEAD /host/v1/objects/*`: carries bytes for stores without presigned requests.
 *
 * The one idea: a request is worth what its signature says. Reads flow through with the reader's pace; writes are collected within a bound on all
 * of them together, since a store takes an object only with its whole SHA-256 known.
 */
import type { Context } from "hono";
import { grantScope, grantSubject } from "../../db/grants.ts";
import { FaultError } from "../../domain/errors.ts";
import type { Caller } from "../callers.ts";
import { limitOf, readKey, storedKey } from "../keys.ts";
import { openRoom, type Room } from "../room.ts";
import type { GrantOptions } from "./grants.ts";
import { holderOf } from "./reports.ts";

const route = "/host/v1/objects/";
/** 64 packs of the usual size at once. */
const packRoomBytes = 256 * 1024 ** 2;
/** Trees and locations wait for each other and not with the packs; one larger than this, of a disk beyond a terabyte, passes alone. */
const listRoomBytes = 128 * 1024 ** 2;

export function objectHandlers(options: GrantOptions) {
  const rooms = { packs: openRoom(packRoomBytes), lists: openRoom(listRoomBytes) };
  return {
    read: (c: Context) => read(options, c),
    write: (c: Context) => write(options, rooms, c),
    /** Answers the size of a pack to whoever pushes: it tells no more than a write would. */
    size: (c: Context, caller: Caller) => size(options, c, caller),
  };
}

/** The slowest line of use sends a part of 64 KiB in a few seconds. */
const stallMs = 30_000;
/** A pack of 64 MiB then takes 17 minutes, which is as long as its grant lives: one that trickles would keep its room from others. */
const slowestBytesPerMs = 64;

/** The path as it was sent: a key has no character that would be written in another way. */
const keyOf = (c: Context): string => new URL(c.req.url).pathname.slice(route.length);

async function granted({ signatures, stores }: GrantOptions, c: Context) {
  const key = keyOf(c);
  const name = readKey(key);
  if (!name) throw new FaultError({ code: "grant_refused", message: "The path is not the key of an object.", subject: key.slice(0, 200) });
  const grant = await signatures.verify({ method: c.req.method, key, query: new URL(c.req.url).searchParams });
  return { key, name, grant, store: await stores.open(grant.storeId) };
}

async function read(options: GrantOptions, c: Context): Promise<Response> {
  const { key: named, store } = await granted(options, c);
  const key = storedKey(named);
  const bytes = await store.size(key);
  if (bytes === null) throw new FaultError({ code: "store_object_missing", message: `The store has no object ${key}.`, subject: key });
  const range = rangeOf(c.req.header("range"), bytes);
  if (range === "unsatisfiable") return c.body(null, 416, { "Content-Range": `bytes */${bytes}` });
  const length = range ? range.lengthBytes : bytes;
  const headers = { "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", "Content-Length": String(length) };
  const body = length === 0 ? null : ((await store.read(key, range, c.req.raw.signal)) as ReadableStream<Uint8Array<ArrayBuffer>>);
  options.metrics.carriedBytes.inc({ direction: "read" }, length);
  if (!range) return new Response(body, { status: 200, headers });
  return new Response(body, {
    status: 206,
    headers: { ...headers, "Content-Range": `bytes ${range.offsetBytes}-${range.offsetBytes + length - 1}/${bytes}` },
  });
}

type Range = { offsetBytes: number; lengthBytes: number };

/** One range, as our own client sends it; anything else reads the whole. */
function rangeOf(header: string | undefined, bytes: number): Range | null | "unsatisfiable" {
  const [, from, to] = /^bytes=(\d{1,15})-(\d{0,15})$/.exec(header ?? "") ?? [];
  if (from === undefined) return null;
  const first = Number(from);
  const last = Math.min(to === undefined || to === "" ? bytes - 1 : Number(to), bytes - 1);
  return first > last ? "unsatisfiable" : { offsetBytes: first, lengthBytes: last - first + 1 };
}

async function write(options: GrantOptions, rooms: { packs: Room; lists: Room }, c: Context): Promise<Response> {
  const { key, name, grant, store } = await granted(options, c);
  const { sha256, bytes } = grant;
  if (sha256 === undefined || bytes === undefined || bytes > limitOf(name)) throw refused(key, "does not allow such a write");
  if (Number(c.req.header("content-length")) !== bytes) throw refused(key, `was given for ${bytes} bytes`);
  const signal = c.req.raw.signal;
  // Not a byte is read before there is room for all: the sender waits, and memory stays bounded.
  const room = name.kind === "pack" ? rooms.packs : rooms.lists;
  const outcome = await room.within(bytes, signal, async () => store.write(key, await collect(c.req.raw.body, bytes, key), sha256, signal));
  options.metrics.carriedBytes.inc({ direction: "write" }, bytes);
  return c.json({ outcome }, outcome === "written" ? 201 : 200);
}

async function collect(body: ReadableStream<Uint8Array> | null, bytes: number, key: string): Promise<Uint8Array> {
  const whole = new Uint8Array(bytes);
  let at = 0;
  const reader = body?.getReader();
  const until = performance.now() + stallMs + bytes / slowestBytesPerMs;
  for (let part = await soon(reader, key); part; part = await soon(reader, key)) {
    if (at + part.byteLength > bytes) throw refused(key, `was given for ${bytes} bytes`);
    whole.set(part, at);
    at += part.byteLength;
    if (performance.now() > until && at < bytes)
      throw new FaultError({ code: "invalid_request", message: `The sender of ${key} is slower than any line of use.`, subject: key });
  }
  if (at !== bytes)
    throw new FaultError({ code: "invalid_request", message: `The request ended after ${at} of ${bytes} bytes.`, subject: key });
  return whole;
}

/** The next part, or null at the end. A sender that stalls gives its room to others. */
async function soon(reader: ReadableStreamDefaultReader<Uint8Array> | undefined, key: string): Promise<Uint8Array | null> {
  if (!reader) return null;
  const stalled = new FaultError({
    code: "invalid_request",
    message: `The sender of ${key} sent nothing for ${stallMs / 1000} s.`,
    subject: key,
  });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(stalled), stallMs);
  });
  try {
    return (await Promise.race([reader.read(), late])).value ?? null;
  } finally {
    clearTimeout(timer);
  }
}

async function size({ db, stores }: GrantOptions, c: Context, caller: Caller): Promise<Response> {
  const key = keyOf(c);
  const name = readKey(key);
  const subject = await grantSubject(db, { operationId: c.req.query("operation") ?? "", holder: holderOf(caller), begin: false });
  const scope = name?.kind === "pack" ? await grantScope(db, subject) : null;
  if (scope?.packs !== "write") throw refused(key, "does not cover its size");
  const bytes = await (await stores.open(scope.storeId)).size(key);
  return bytes === null ? c.body(null, 404) : c.body(null, 200, { "X-Object-Bytes": String(bytes) });
}

const refused = (key: string, why: string) =>
  new FaultError({ code: "grant_refused", message: `The grant for ${key.slice(0, 200)} ${why}.`, subject: key.slice(0, 200) });
