/**
 * Fills packs in memory and sends them: one PUT each, a few in flight, no file in between.
 *
 * A pack takes a buffer from a small set, and who wants another waits until one is sent: so a slow store slows the reading down instead of filling the memory.
 */
import { createHash } from "node:crypto";
import type { ObjectStore } from "../stores/object-store.ts";
import { chunkBytes, packBytes, packKey } from "./format.ts";
import type { PackedChunk, PushJournal } from "./journal.ts";
import type { Line } from "./line.ts";

export interface PackerOptions {
  readonly store: Pick<ObjectStore, "write">;
  readonly journal: PushJournal;
  /** How many packs may be on their way at once. */
  readonly parallel: number;
  readonly line: Line;
  readonly signal: AbortSignal;
  /** Told when a pack is full, with how many others are on their way. */
  readonly onFull: (onTheWay: number) => void;
  /** Told when the store has acknowledged a pack. */
  readonly onSent: (pack: { number: number; sha256: string; bytes: number }) => void;
}

export interface Packer {
  /** Where a chunk comes to lie; returns at once, the sending follows. */
  take(hash: Buffer, body: Uint8Array): { pack: number; offset: number; length: number };
  /** Waits until there is room for more; fails when a send failed. */
  room(): Promise<void>;
  /** Sends what is left and waits for all of it. */
  finish(): Promise<void>;
  /** Waits until nothing is on its way, whatever became of it. */
  settle(): Promise<void>;
}

interface Filling {
  readonly number: number;
  readonly buffer: Buffer;
  readonly hash: ReturnType<typeof createHash>;
  readonly chunks: PackedChunk[];
  bytes: number;
}

/** A pack is closed once it is full, so its last chunk may go over by almost a chunk. */
const bufferBytes = packBytes + chunkBytes;

/** Packs are numbered from `firstNumber` on. */
export function openPacker(options: PackerOptions, firstNumber: number): Packer {
  const free: Buffer[] = [];
  const sending = new Set<Promise<void>>();
  let next = firstNumber;
  let filling: Filling | null = null;
  let failure: { error: unknown } | null = null;

  const begin = (): Filling => {
    const buffer = free.pop() ?? Buffer.allocUnsafeSlow(bufferBytes);
    return { number: next++, buffer, hash: createHash("sha256"), chunks: [], bytes: 0 };
  };

  const send = (pack: Filling) => {
    filling = null;
    const sent: Promise<void> = sendPack(options, pack)
      .catch((error: unknown) => void (failure ??= { error }))
      .finally(() => {
        free.push(pack.buffer);
        sending.delete(sent);
      });
    sending.add(sent);
  };

  const check = () => {
    if (failure) throw failure.error;
  };

  return {
    take: (hash, body) => {
      const pack = (filling ??= begin());
      const offset = pack.bytes;
      pack.buffer.set(body, offset);
      pack.hash.update(body);
      pack.chunks.push({ hash: Buffer.from(hash), offset, length: body.byteLength });
      pack.bytes += body.byteLength;
      if (pack.bytes >= packBytes) {
        options.onFull(sending.size);
        send(pack);
      }
      return { pack: pack.number, offset, length: body.byteLength };
    },
    room: async () => {
      while (sending.size >= options.parallel && !failure) await Promise.race(sending);
      check();
    },
    finish: async () => {
      if (filling) send(filling);
      await Promise.all(sending);
      check();
    },
    settle: async () => void (await Promise.all(sending)),
  };
}

async function sendPack(
  { store, journal, line, signal, onSent }: PackerOptions,
  { number, buffer, hash, chunks, bytes }: Filling,
): Promise<void> {
  signal.throwIfAborted();
  const sha256 = hash.digest("hex");
  await line.take(bytes, signal);
  await journal.begin({ sha256, bytes, chunks });
  await store.write(packKey(sha256), buffer.subarray(0, bytes), sha256, signal);
  await journal.finish(sha256);
  onSent({ number, sha256, bytes });
}
