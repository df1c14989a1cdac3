/**
 * Fills packs in memory and sends them: one PUT each, a few in flight, no file in between.
 *
 * Packs that travel side by side share the bytes of one: whatever dies, and however a store treats what it had not answered yet, no more than that travels again.
 * A pack takes a buffer from a small set, and who wants another waits until one is sent: so a slow store slows the reading down instead of filling the memory.
 */
import { createHash } from "node:crypto";
import type { ObjectStore } from "../stores/object-store.ts";
import { packBytes, packKey } from "./format.ts";
import type { PackedChunk, PushJournal } from "./journal.ts";
import type { Line } from "./line.ts";
import { openPackTurns, type PackTurns } from "./pack-turns.ts";
import { sharedPackBytes, type PackWidth } from "./pack-width.ts";

export interface PackerOptions {
  readonly store: Pick<ObjectStore, "write">;
  readonly journal: PushJournal;
  /** How many packs may be on their way at once: the more, the smaller they are. */
  readonly width: PackWidth;
  readonly line: Line;
  readonly signal: AbortSignal;
  /** Told when a pack is full: how many others are on their way or wait for it, of how many that may be. */
  readonly onFull: (others: number, most: number) => void;
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
  readonly limitBytes: number;
  readonly hash: ReturnType<typeof createHash>;
  readonly chunks: PackedChunk[];
  bytes: number;
}

/** Packs that are full and wait for their turn: what does not shrink is read faster than any line takes it, and what does slower, so each works ahead for the other. */
const readyBytes = 3 * packBytes;

/** Packs are numbered from `firstNumber` on. */
export function openPacker(options: PackerOptions, firstNumber: number): Packer {
  const { width } = options;
  const turns = openPackTurns(width.current);
  // As many buffers as fit when packs are largest, as they are in the beginning; smaller ones leave some of theirs empty.
  const bufferBytes = sharedPackBytes(width.current());
  const mostPacks = Math.floor((packBytes + readyBytes) / bufferBytes);
  const free: Buffer[] = [];
  const sending = new Set<Promise<void>>();
  let next = firstNumber;
  let filling: Filling | null = null;
  let failure: { error: unknown } | null = null;

  const begin = (): Filling => {
    const buffer = free.pop() ?? Buffer.allocUnsafeSlow(bufferBytes);
    return { number: next++, buffer, limitBytes: sharedPackBytes(width.current()), hash: createHash("sha256"), chunks: [], bytes: 0 };
  };

  const check = () => {
    if (failure) throw failure.error;
  };

  const send = (pack: Filling) => {
    filling = null;
    const sent: Promise<void> = sendPack({ ...options, turns, check }, pack)
      .catch((error: unknown) => void (failure ??= { error }))
      .finally(() => {
        free.push(pack.buffer);
        sending.delete(sent);
      });
    sending.add(sent);
  };

  return {
    take: (hash, body) => {
      if (filling && filling.bytes + body.byteLength > filling.limitBytes) {
        options.onFull(sending.size, mostPacks);
        send(filling);
      }
      filling ??= begin();
      return { pack: filling.number, ...add(filling, hash, body) };
    },
    room: async () => {
      while (sending.size >= mostPacks && !failure) await Promise.race(sending);
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

function add(pack: Filling, hash: Buffer, body: Uint8Array): { offset: number; length: number } {
  const place = { offset: pack.bytes, length: body.byteLength };
  pack.buffer.set(body, place.offset);
  pack.hash.update(body);
  pack.chunks.push({ hash: Buffer.from(hash), ...place });
  pack.bytes += place.length;
  return place;
}

async function sendPack(
  { store, journal, line, width, signal, onSent, turns, check }: PackerOptions & { turns: PackTurns; check: () => void },
  { number, buffer, hash, chunks, bytes }: Filling,
): Promise<void> {
  signal.throwIfAborted();
  const sha256 = hash.digest("hex");
  await journal.begin({ sha256, bytes, chunks });
  await turns.take(bytes);
  try {
    check();
    const [began, crowded] = [performance.now(), turns.crowded()];
    await line.take(bytes, signal);
    await store.write(packKey(sha256), buffer.subarray(0, bytes), sha256, signal);
    width.came({ bytes, ms: performance.now() - began, crowded: crowded && turns.crowded() });
  } finally {
    turns.leave(bytes);
  }
  await journal.finish(sha256);
  onSent({ number, sha256, bytes });
}
