/**
 * Reads one large object from its beginning to its end in ranges, a few of them on their way at once, and hands them on in order.
 *
 * The one idea: a range that broke off is asked for again by itself, so a dropped connection costs megabytes and not the whole archive; and memory is the
 * ranges on their way, whatever the object's size.
 */
import { FaultError } from "../../domain/errors.ts";
import type { ByteRange } from "../../stores/object-store.ts";
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

/** `spool`: where ranges of an earlier attempt may lie, and where those of this one go. */
export async function* readAhead(source: ArchiveSource, signal: AbortSignal, spool: Spool | null): AsyncGenerator<Uint8Array> {
  const abort = new AbortController();
  const either = AbortSignal.any([signal, abort.signal]);
  const underWay: Promise<Uint8Array>[] = [];
  let asked = 0;
  const ask = () => {
    const lengthBytes = Math.min(rangeBytes, source.bytes - asked);
    const range = rangeAt(source, { offsetBytes: asked, lengthBytes }, spool, either);
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

async function rangeAt(source: ArchiveSource, range: ByteRange, spool: Spool | null, signal: AbortSignal): Promise<Uint8Array> {
  const number = range.offsetBytes / rangeBytes;
  const known = await spool?.take(number, range.lengthBytes);
  if (known) return known;
  const began = performance.now();
  const whole = await readRange(source, range, signal);
  if (performance.now() - began > quickMs) await spool?.keep(number, whole);
  return whole;
}

async function readRange(source: ArchiveSource, range: ByteRange, signal: AbortSignal): Promise<Uint8Array> {
  for (let tried = 1; ; tried++) {
    try {
      signal.throwIfAborted();
      return await collect(source, range, await source.read(range, signal));
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof FaultError && error.fault.code !== "store_unavailable") throw error;
      if (tried < triesPerRange) continue;
      throw brokenOff(source, error);
    }
  }
}

async function collect(source: ArchiveSource, { lengthBytes }: ByteRange, parts: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const whole = Buffer.allocUnsafeSlow(lengthBytes);
  let at = 0;
  for await (const part of parts) {
    if (at + part.byteLength > lengthBytes) throw otherThanTold(source, "longer");
    whole.set(part, at);
    at += part.byteLength;
  }
  if (at < lengthBytes) throw new Error(`The answer ended after ${at} of ${lengthBytes} bytes.`);
  return whole;
}

const otherThanTold = ({ name }: ArchiveSource, how: string) =>
  new FaultError({ code: "archive_corrupt", message: `The store's answer for ${name} is ${how} than what was asked for.`, subject: name });

function brokenOff({ name }: ArchiveSource, cause: unknown): FaultError {
  if (cause instanceof FaultError) return cause;
  const message = `The store broke off in the middle of ${name}, ${triesPerRange} times at the same place.`;
  return new FaultError({ code: "store_unavailable", message, subject: name }, { cause });
}
