/**
 * A read that goes on where it was broken off.
 *
 * The one idea: an object never changes, so what is missing of it can be asked for at any time, from anywhere. Whoever reads sees one stream that is whole,
 * or a fault that says how far it came.
 */
import { createHash } from "node:crypto";
import { addAbortSignal, type Readable } from "node:stream";
import { FaultError } from "../domain/errors.ts";
import { storeCorrupt, storeUnavailable } from "./faults.ts";
import type { ByteRange } from "./object-store.ts";
import type { Retry } from "./retry.ts";

/** An answer whose head has come. */
export interface OpenedRead {
  readonly body: Readable;
  /** As many as it must carry; null where the store does not say. */
  readonly bytes: number | null;
  /** Of the whole object, where the store tells it: then the bytes are held against it. */
  readonly digest?: { readonly algorithm: "sha256" | "md5"; readonly hex: string } | undefined;
}

export interface SteadyRead {
  readonly key: string;
  readonly range: ByteRange | null;
  readonly open: (range: ByteRange | null, signal: AbortSignal) => Promise<OpenedRead>;
  readonly retry: Retry;
  readonly signal: AbortSignal;
  /** A body that carries nothing for so long is given up; 60 s unless a test is in a hurry: a failover takes tens. */
  readonly silentMs?: number;
}

interface Progress {
  source: AsyncIterator<Uint8Array>;
  readonly bytes: number | null;
  received: number;
  failures: number;
}

export async function steadyRead(ask: SteadyRead): Promise<ReadableStream<Uint8Array>> {
  const first = await ask.retry.run(() => ask.open(ask.range, ask.signal), ask.signal);
  const digest = ask.range === null ? first.digest : undefined;
  const hash = digest && createHash(digest.algorithm);
  const state: Progress = { source: sourceOf(first.body, ask), bytes: first.bytes, received: 0, failures: 0 };
  const next = async (): Promise<Uint8Array | null> => {
    const part = await nextPart(ask, state);
    if (part !== null) hash?.update(part);
    else if (hash && hash.digest("hex") !== digest?.hex)
      throw storeCorrupt(ask.key, "does not have the checksum that the store itself tells");
    return part;
  };
  return byteStream(next, async () => void (await state.source.return?.()));
}

/** For readers without memory of their own: few turns for a pack, and little that waits. */
const pieceBytes = 1 << 18;

/** Parts as a stream that fills its reader's own memory at one asking: a stream's turn costs as much as the copying of many parts. */
function byteStream(next: () => Promise<Uint8Array | null>, cancel: () => Promise<void>): ReadableStream<Uint8Array> {
  let held: Uint8Array | null = new Uint8Array();
  const fillRoom = async (room: Uint8Array): Promise<number> => {
    let filled = 0;
    while (held !== null && filled < room.byteLength) {
      if (held.byteLength === 0) {
        held = await next();
        continue;
      }
      const fitting = held.subarray(0, room.byteLength - filled);
      room.set(fitting, filled);
      filled += fitting.byteLength;
      held = held.subarray(fitting.byteLength);
    }
    return filled;
  };
  const pull = async (controller: ReadableByteStreamController) => {
    const asked = controller.byobRequest;
    if (!asked?.view) return;
    const { buffer, byteOffset, byteLength } = asked.view;
    const filled = await fillRoom(new Uint8Array(buffer, byteOffset, byteLength));
    if (filled === 0) controller.close();
    asked.respond(filled);
  };
  return new ReadableStream({ type: "bytes", autoAllocateChunkSize: pieceBytes, pull, cancel });
}

/** Null at the end of the whole; asks anew for the rest where an answer broke off. */
async function nextPart(ask: SteadyRead, state: Progress): Promise<Uint8Array | null> {
  for (;;) {
    try {
      const { done, value } = await state.source.next();
      if (done !== true) return counted(ask, state, value);
      if (state.bytes === null || state.received === state.bytes) return null;
      throw new Error("The answer ended early.");
    } catch (cause) {
      if (ask.signal.aborted || cause instanceof FaultError) throw cause;
      await goOn(ask, state, cause);
    }
  }
}

function counted({ key }: SteadyRead, state: Progress, part: Uint8Array): Uint8Array {
  state.received += part.byteLength;
  if (state.bytes !== null && state.received > state.bytes) throw storeCorrupt(key, "came with more bytes than it has");
  // What goes on is not failing: the next break is counted from one.
  state.failures = 0;
  return part;
}

async function goOn(ask: SteadyRead, state: Progress, cause: unknown): Promise<void> {
  const { key, retry, signal } = ask;
  const of = state.bytes === null ? "" : ` of ${state.bytes}`;
  const broken = storeUnavailable(key, `its answer broke off after ${state.received}${of} bytes`, cause);
  if (state.bytes === null || !(await retry.again(broken, ++state.failures, signal))) throw broken;
  const left = state.bytes - state.received;
  const rest = { offsetBytes: (ask.range?.offsetBytes ?? 0) + state.received, lengthBytes: left };
  const reopened = await retry.run(() => ask.open(rest, signal), signal);
  if (reopened.bytes !== null && reopened.bytes !== left) throw storeCorrupt(key, "changed its size while it was read");
  state.source = sourceOf(reopened.body, ask);
}

/** The parts of a body, which ends with the signal, and when it has been silent while somebody waited. */
async function* sourceOf(body: Readable, { signal, silentMs = 60_000 }: SteadyRead): AsyncGenerator<Uint8Array> {
  addAbortSignal(signal, body);
  const parts = body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  try {
    for (;;) {
      const silence = setTimeout(() => body.destroy(new Error("The answer fell silent.")), silentMs);
      const { done, value } = await parts.next().finally(() => clearTimeout(silence));
      if (done === true) return;
      yield value;
    }
  } finally {
    body.destroy();
  }
}

/** How many bytes an answer must carry, by its head; a store that answers another range than was asked for is not believed. */
export function expectedBytes(
  key: string,
  range: ByteRange | null,
  { contentRange, contentLength }: { contentRange?: string | undefined; contentLength?: number | undefined },
): number | null {
  if (range === null) return contentLength ?? null;
  const [, first, , total] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(contentRange ?? "") ?? [];
  if (first === undefined || Number(first) !== range.offsetBytes)
    throw storeUnavailable(key, `it answered ${contentRange ?? "the whole object"} where bytes from ${range.offsetBytes} were asked for`);
  return Math.min(range.lengthBytes, Number(total) - range.offsetBytes);
}
