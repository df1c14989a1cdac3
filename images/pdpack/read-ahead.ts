/**
 * Reads one large object from its beginning to its end in ranges, a few of them on their way at once, and hands them on in order.
 *
 * The one idea: a range that broke off is asked for again by itself, so a dropped connection costs megabytes and not the whole archive; and memory is the
 * ranges on their way, whatever the object's size.
 */
import { FaultError } from "../../domain/errors.ts";
import type { ByteRange } from "../../stores/object-store.ts";
import { filler } from "../fill.ts";
import type { RangeMemory } from "./range-memory.ts";
import type { Spool } from "./spool.ts";

export interface ArchiveSource {
  readonly name: string;
  readonly bytes: number;
  read(range: ByteRange, signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
}

/** 8 MiB a range and four at once keep a line of a gigabyte per second busy at 30 ms, in 32 MiB of memory. */
export const rangeBytes = 8 * 1024 * 1024;
const parallel = 4;
/** Four ranges at once that take no longer bring 400 MB a second: fetching them again is cheaper than keeping them, which slows the unpacking to half. */
const quickMs = 80;
/** A connection that breaks is no accident any more when the same range broke off four times. */
const triesPerRange = 4;

export interface ReadAhead {
  readonly memory: Pick<RangeMemory, "room">;
  /** Where ranges of an earlier attempt may lie, and where those of this one go. */
  readonly spool: Spool | null;
  readonly signal: AbortSignal;
}

export async function* readAhead(source: ArchiveSource, { memory, spool, signal }: ReadAhead): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const abort = new AbortController();
  const either = AbortSignal.any([signal, abort.signal]);
  const underWay: Promise<Uint8Array<ArrayBuffer>>[] = [];
  let asked = 0;
  const ask = () => {
    const lengthBytes = Math.min(rangeBytes, source.bytes - asked);
    const range = rangeAt(source, { offsetBytes: asked, lengthBytes }, { memory, spool, signal: either });
    range.catch(() => undefined); // Told to whoever takes it; one that nobody takes any more is nobody's.
    underWay.push(range);
    asked += lengthBytes;
  };
  try {
    for (;;) {
      while (underWay.length < parallel && asked < source.bytes) ask();
      const next = underWay.shift();
      if (!next) return;
      yield await next;
    }
  } finally {
    abort.abort();
    await Promise.allSettled(underWay);
  }
}

async function rangeAt(source: ArchiveSource, range: ByteRange, ahead: ReadAhead): Promise<Uint8Array<ArrayBuffer>> {
  const { spool } = ahead;
  const number = range.offsetBytes / rangeBytes;
  const known = await spool?.take(number, range.lengthBytes);
  if (known) return known;
  const began = performance.now();
  const whole = await readRange(source, range, ahead);
  if (performance.now() - began > quickMs) await spool?.keep(number, whole);
  return whole;
}

async function readRange(source: ArchiveSource, range: ByteRange, { memory, signal }: ReadAhead): Promise<Uint8Array<ArrayBuffer>> {
  for (let tried = 1; ; tried++) {
    try {
      signal.throwIfAborted();
      return await collect(source, await source.read(range, signal), memory.room(range.lengthBytes));
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof FaultError && error.fault.code !== "store_unavailable") throw error;
      if (tried < triesPerRange) continue;
      throw brokenOff(source, error);
    }
  }
}

async function collect(
  source: ArchiveSource,
  stream: ReadableStream<Uint8Array>,
  room: Uint8Array<ArrayBuffer>,
): Promise<Uint8Array<ArrayBuffer>> {
  const reader = filler(stream);
  try {
    const { body, bytes } = await reader.fill(room);
    if (bytes < body.byteLength) throw new Error(`The answer ended after ${bytes} of ${body.byteLength} bytes.`);
    if ((await reader.fill(new Uint8Array(1))).bytes > 0) throw otherThanTold(source, "longer");
    return body;
  } finally {
    await reader.end().catch(() => undefined); // What failed was told.
  }
}

const otherThanTold = ({ name }: ArchiveSource, how: string) =>
  new FaultError({ code: "archive_corrupt", message: `The store's answer for ${name} is ${how} than what was asked for.`, subject: name });

function brokenOff({ name }: ArchiveSource, cause: unknown): FaultError {
  if (cause instanceof FaultError) return cause;
  const message = `The store broke off in the middle of ${name}, ${triesPerRange} times at the same place.`;
  return new FaultError({ code: "store_unavailable", message, subject: name }, { cause });
}
