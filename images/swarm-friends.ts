/**
 * Neighbours as one transfer knows them: what each has, what it takes from the store, how fast it is, and whether it is worth asking any more.
 */
import { placeSpan, type FetchAsk } from "./fetch.ts";
import type { Neighbour, Rows, Told } from "./near.ts";
import type { Part } from "./swarm-parts.ts";

/** A neighbour is asked what it has this often where there are few, and seldomer where there are many: each of them asks all others. */
const leastAskMs = 250;
const askPerFriendMs = 100;
/** Neighbours on one network answer in milliseconds, busy ones within a second or two; a part of 2 MiB takes tens of milliseconds. Whoever was slower before has longer, up to the most. */
const leastAnswerMs = 4_000;
const mostAnswerMs = 15_000;
const leastReadMs = 10_000;
const mostReadMs = 30_000;
const timesBefore = 6;
/** Until a neighbour that serves all it can is asked for chunks again. */
const busyMs = 200;
/** Failures in a row after which a neighbour is left alone for a while, longer each time: it may only be busy. One lie is enough for ever. */
const failuresTaken = 2;
const restMs = 2_000;
const longestRestMs = 60_000;
/** How much the last time counts for how long the next will take. */
const newest = 0.3;

export interface Friend {
  readonly neighbour: Neighbour;
  readonly toldAt: number;
  /** Undefined until it was heard. */
  rows: Rows | "all" | "none" | undefined;
  /** Parts it has of those that waited here when it was heard. */
  offers: Set<Part>;
  /** Marks of the parts that it takes from the store, and since when that is known. */
  taking: ReadonlyMap<number, number>;
  heardAt: number;
  askedAt: number;
  asking: boolean;
  reading: number;
  /** How long it took to tell what it has; 0 until it did. */
  answerMs: number;
  /** How long a part was on its way from it; 0 until one came. */
  readMs: number;
  /** The same, divided among all that were on their way from neighbours at once: what a part costs in time. */
  partMs: number;
  busyUntil: number;
  failures: number;
  /** Left alone until then. */
  restsUntil: number;
}

const stranger = (neighbour: Neighbour): Friend => ({
  neighbour,
  toldAt: performance.now(),
  rows: undefined,
  offers: new Set(),
  taking: new Map(),
  heardAt: performance.now(),
  askedAt: -Infinity,
  asking: false,
  reading: 0,
  answerMs: 0,
  readMs: 0,
  partMs: 0,
  busyUntil: 0,
  failures: 0,
  restsUntil: 0,
});

/** The neighbours of this moment that are worth asking. */
export function known(neighbours: readonly Neighbour[], friends: Map<string, Friend>): Friend[] {
  const now = performance.now();
  return neighbours.flatMap((neighbour) => {
    const friend = friends.get(neighbour.id) ?? stranger(neighbour);
    friends.set(neighbour.id, friend);
    return friend.restsUntil <= now ? [friend] : [];
  });
}

export const isDue = ({ rows, asking, askedAt }: Friend, friends: number): boolean =>
  rows !== "all" && !asking && performance.now() - askedAt >= Math.max(leastAskMs, askPerFriendMs * friends);

export const askAgain = (friend: Friend): void => void (friend.askedAt = -Infinity);

/** Asks a neighbour what it has. */
export function listenTo(friend: Friend, waiting: ReadonlySet<Part>, signal: AbortSignal): () => Promise<void> {
  friend.asking = true;
  return async () => {
    const begun = performance.now();
    const limitMs = Math.min(mostAnswerMs, Math.max(leastAnswerMs, timesBefore * friend.answerMs));
    try {
      hear(friend, await within(limitMs, signal, (limited) => friend.neighbour.rows(limited)), waiting);
      friend.answerMs = averaged(friend.answerMs, performance.now() - begun);
    } catch {
      failed(friend);
    } finally {
      friend.askedAt = performance.now();
      friend.asking = false;
    }
  };
}

function hear(friend: Friend, told: Told | "all" | "none", waiting: ReadonlySet<Part>): void {
  const now = performance.now();
  const { taking, ...has } = typeof told === "object" ? told : { taking: [], rows: told };
  friend.heardAt = now;
  friend.taking = new Map(taking.map((mark) => [mark, friend.taking.get(mark) ?? now]));
  friend.rows = has.rows;
  friend.offers = new Set(typeof has.rows === "object" ? [...waiting].filter((part) => hasAll(friend, part)) : []);
}

function failed(friend: Friend): void {
  friend.failures++;
  if (friend.failures < failuresTaken) return;
  const pauseMs = Math.min(restMs * 2 ** (friend.failures - failuresTaken), longestRestMs);
  friend.restsUntil = performance.now() + pauseMs;
  // What it had may have gone meanwhile.
  friend.rows = undefined;
  friend.offers.clear();
}

export const hasAll = ({ rows }: Friend, part: Part): boolean =>
  rows === "all" || (typeof rows === "object" && rows.count > 0 && part.rows.every((row) => rows.has(row)));
export const isOffered = ({ rows, offers }: Friend, part: Part): boolean => rows === "all" || offers.has(part);

/** A part that waits again is offered by all who have it. */
export function offerAgain(friend: Friend, part: Part): void {
  if (hasAll(friend, part)) friend.offers.add(part);
}

/** So many parts that others bring sooner are looked at before a slow neighbour is left for this moment. */
const mostUnwanted = 64;

/** A part that the neighbour has and that nobody brings yet. */
export function offered({ rows, offers }: Friend, waiting: ReadonlySet<Part>, isWanted: (part: Part) => boolean): Part | undefined {
  let unwanted = 0;
  for (const part of rows === "all" ? waiting : offers)
    if (!waiting.has(part)) offers.delete(part);
    else if (isWanted(part)) return part;
    else if (++unwanted > mostUnwanted) return undefined;
  return undefined;
}

/** Chunks that compress very well make long parts: 8 MiB of plain bytes bound what a neighbour sends at once, and what waits in memory. */
const mostChunks = 32;

/** Whether the part came from the neighbour, whole and right. `beside`: how many parts are on their way from neighbours. */
export async function readPart(ask: FetchAsk, friend: Friend, { span }: Part, beside: () => number): Promise<boolean> {
  const { chunks } = span;
  const begun = performance.now();
  try {
    for (let from = 0; from < chunks.length; from += mostChunks)
      if (!(await readSome(ask, friend, chunks.slice(from, from + mostChunks)))) return false;
    friend.failures = 0;
    paced(friend, performance.now() - begun, beside());
    return true;
  } catch (error) {
    if (ask.signal.aborted) throw error;
    paced(friend, performance.now() - begun, beside());
    failed(friend);
    return false;
  }
}

export const averaged = (before: number, now: number): number => (before === 0 ? now : before + newest * (now - before));

function paced(friend: Friend, ms: number, beside: number): void {
  friend.readMs = averaged(friend.readMs, ms);
  friend.partMs = averaged(friend.partMs, ms / Math.max(1, beside));
}

async function readSome(ask: FetchAsk, friend: Friend, wanted: Part["span"]["chunks"]): Promise<boolean> {
  const rows = wanted.map(({ rows: [row = -1] }) => row);
  const limitMs = Math.min(mostReadMs, Math.max(leastReadMs, timesBefore * friend.readMs));
  const sent = await within(limitMs, ask.signal, (limited) => friend.neighbour.read(rows, limited));
  if (sent === "busy") {
    friend.busyUntil = performance.now() + busyMs;
    // Whoever is always busy is slow.
    friend.partMs += busyMs;
    return false;
  }
  const { lengths, body } = sent;
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
  act(AbortSignal.any([signal, AbortSignal.timeout(Math.round(limitMs))]));
