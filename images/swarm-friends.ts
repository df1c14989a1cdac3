/**
 * Neighbours as one transfer knows them: what each has, how much is on its way from it, and whether it is worth asking any more.
 */
import { placeSpan, type FetchAsk } from "./fetch.ts";
import type { Neighbour, Rows } from "./near.ts";
import type { Span } from "./wanted.ts";

/** A neighbour is asked what it has this often where there are few, and seldomer where there are many: each of them asks all others. */
const leastAskMs = 250;
const askPerFriendMs = 100;
/** Neighbours on one network answer in milliseconds. */
const rowsLimitMs = 2_000;
/** A part is 2 MiB: what takes longer is slower than any store. */
const readLimitMs = 5_000;
/** Failures in a row after which a neighbour is left alone for a while, longer each time: it may only be busy. One lie is enough for ever. */
const failuresTaken = 2;
const restMs = 2_000;
const longestRestMs = 60_000;

/** Some chunks that are read together, by their place in the store, with all their rows. */
export interface Part {
  readonly span: Span;
  readonly rows: readonly number[];
  readonly mark: number;
}

export interface Friend {
  readonly neighbour: Neighbour;
  /** Undefined until it was heard. */
  rows: Rows | "all" | "none" | undefined;
  askedAt: number;
  asking: boolean;
  reading: number;
  failures: number;
  /** Left alone until then. */
  restsUntil: number;
}

/** The neighbours of this moment that are worth asking. */
export function known(neighbours: readonly Neighbour[], friends: Map<string, Friend>): Friend[] {
  const now = performance.now();
  return neighbours.flatMap((neighbour) => {
    const before = friends.get(neighbour.id);
    const friend = before ?? { neighbour, rows: undefined, askedAt: -Infinity, asking: false, reading: 0, failures: 0, restsUntil: 0 };
    if (!before) friends.set(neighbour.id, friend);
    return friend.restsUntil <= now ? [friend] : [];
  });
}

/** Asks a neighbour what it has. */
export function listenTo(friend: Friend, signal: AbortSignal): () => Promise<void> {
  friend.asking = true;
  return async () => {
    try {
      friend.rows = await within(rowsLimitMs, signal, (limited) => friend.neighbour.rows(limited));
    } catch {
      failed(friend);
    } finally {
      friend.askedAt = performance.now();
      friend.asking = false;
    }
  };
}

function failed(friend: Friend): void {
  friend.failures++;
  if (friend.failures < failuresTaken) return;
  const pauseMs = Math.min(restMs * 2 ** (friend.failures - failuresTaken), longestRestMs);
  friend.restsUntil = performance.now() + pauseMs;
  // What it had may have gone meanwhile.
  friend.rows = undefined;
}

export const isDue = ({ rows, asking, askedAt }: Friend, friends: number): boolean =>
  rows !== "all" && !asking && performance.now() - askedAt >= Math.max(leastAskMs, askPerFriendMs * friends);
export const hasAll = ({ rows }: Friend, part: Part): boolean =>
  rows === "all" || (typeof rows === "object" && rows.count > 0 && part.rows.every((row) => rows.has(row)));

/** Chunks that compress very well make long parts: 8 MiB of plain bytes bound what a neighbour sends at once, and what waits in memory. */
const mostChunks = 32;

/** Whether the part came from the neighbour, whole and right. */
export async function readPart(ask: FetchAsk, friend: Friend, { span }: Part): Promise<boolean> {
  const { chunks } = span;
  try {
    for (let from = 0; from < chunks.length; from += mostChunks)
      if (!(await readSome(ask, friend, chunks.slice(from, from + mostChunks)))) return false;
    friend.failures = 0;
    return true;
  } catch (error) {
    if (ask.signal.aborted) throw error;
    failed(friend);
    return false;
  }
}

async function readSome(ask: FetchAsk, friend: Friend, wanted: Part["span"]["chunks"]): Promise<boolean> {
  const rows = wanted.map(({ rows: [row = -1] }) => row);
  const { lengths, body } = await within(readLimitMs, ask.signal, (limited) => friend.neighbour.read(rows, limited));
  if (lengths.length !== rows.length || lengths.includes(0)) {
    failed(friend);
    return false;
  }
  let offset = 0;
  const chunks = wanted.map((chunk, n) => {
    const placed = { ...chunk, offset, length: lengths[n] ?? 0 };
    offset += placed.length;
    return placed;
  });
  if ((await placeSpan(ask, { body, chunks, storedBytes: 0 })) === null) return true;
  friend.restsUntil = Infinity;
  return false;
}

const within = <T>(limitMs: number, signal: AbortSignal, act: (limited: AbortSignal) => Promise<T>): Promise<T> =>
  act(AbortSignal.any([signal, AbortSignal.timeout(limitMs)]));
