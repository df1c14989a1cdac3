/**
 * Fetches chunks from neighbours and from the store at once, so that hosts which start together cost the store about one download between them.
 *
 * For each part of the image one host is first, the same for all: it takes that part from the store, and the others have it from whoever has it by then. A host
 * that waits in vain takes from the store what it is second for, and so on, sooner each time: so a neighbour that is slow, dead or lies costs a short wait.
 */
import { fetchWhole, type FetchAsk } from "./fetch.ts";
import type { Near } from "./near.ts";
import { hasAll, isDue, known, listenTo, readPart, type Friend, type Part } from "./swarm-friends.ts";
import { markOf, storeOrder, type StoreOrder } from "./swarm-order.ts";
import type { Span } from "./wanted.ts";

export interface SwarmAsk extends FetchAsk {
  readonly near: Near;
  /** Told of the rows of each finished part. */
  readonly onRows: (rows: readonly number[]) => void;
}

/** Reads on their way from one neighbour, and from all: they share one network. */
const perNeighbour = 2;
const fromNeighbours = 8;
/** How long nothing may come before a host takes from the store what others have or are first for: twice as long as the store takes, at least this; halved each time in a row. */
const firstIdleMs = 1_000;
const leastIdleMs = 100;
/** Until hosts that begin together have heard of each other, each takes one part at a time: what is taken twice then is little. */
const settlingMs = 1_500;
/** Neighbours on one network answer in milliseconds: so long the store is not asked for what they may have. */
const hearMs = 500;
/** How often all is looked at anew while nothing happens. */
const lookEveryMs = 50;

/** Returns once every part is here; what fails in the store fails it, what fails at a neighbour does not. */
export async function fetchTogether(ask: SwarmAsk, spans: readonly Span[]): Promise<void> {
  const abort = new AbortController();
  const swarm = openSwarm({ ...ask, signal: AbortSignal.any([ask.signal, abort.signal]) }, spans.map(partOf));
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  const begin = (work: () => Promise<void>) => {
    const piece: Promise<void> = work()
      .catch((error: unknown) => void failures.push(error))
      .finally(() => running.delete(piece));
    running.add(piece);
  };
  try {
    while (failures.length === 0 && !swarm.isDone()) {
      ask.signal.throwIfAborted();
      for (let work = swarm.next(); work; work = swarm.next()) begin(work);
      await Promise.race([...running, new Promise((resolve) => setTimeout(resolve, lookEveryMs))]);
    }
  } finally {
    abort.abort();
    await Promise.all(running);
  }
  if (failures.length > 0) throw failures[0];
}

const partOf = (span: Span): Part => ({
  span,
  rows: span.chunks.flatMap(({ rows }) => rows),
  mark: markOf(`${span.pack}:${span.offset}`),
});

interface Swarm {
  readonly ask: SwarmAsk;
  readonly waiting: Set<Part>;
  readonly order: StoreOrder<Part>;
  done: number;
  fromStore: number;
  near: number;
  readonly begunAt: number;
  /** How long a part of the store took last. */
  storeMs: number;
  /** Parts that were taken in vain waiting since something came from a neighbour. */
  impatient: number;
  heardAt: number;
}

function openSwarm(ask: SwarmAsk, parts: readonly Part[]) {
  const waiting = new Set(parts);
  const order = storeOrder(ask.near.id, waiting);
  const begunAt = performance.now();
  const swarm: Swarm = { ask, waiting, order, done: 0, fromStore: 0, near: 0, begunAt, storeMs: 0, impatient: 0, heardAt: begunAt };
  const friends = new Map<string, Friend>();
  /** One piece of work that can begin now, or null. */
  const next = (): (() => Promise<void>) | null => {
    const here = known(ask.near.neighbours(), friends);
    const due = here.find((friend) => isDue(friend, here.length));
    if (due) return listenTo(due, ask.signal);
    const near = nextNear(swarm, here);
    if (near) return near;
    const unheard = performance.now() - begunAt < hearMs && here.some(({ rows }) => rows === undefined);
    return unheard ? null : nextStored(swarm, here);
  };
  return { next, isDone: () => swarm.done === parts.length };
}

/** A part that a neighbour has, from the one that is asked least. */
function nextNear(swarm: Swarm, here: readonly Friend[]): (() => Promise<void>) | null {
  const { ask, waiting, order } = swarm;
  const free = swarm.near < fromNeighbours ? here.filter(({ reading }) => reading < perNeighbour) : [];
  for (const friend of free.toSorted((a, b) => a.reading - b.reading)) {
    const part = firstOf(waiting, (one) => hasAll(friend, one));
    if (!part) continue;
    waiting.delete(part);
    friend.reading++;
    swarm.near++;
    return async () => {
      const came = await readPart(ask, friend, part).finally(() => {
        friend.reading--;
        swarm.near--;
      });
      if (came) {
        swarm.impatient = 0;
        return ended(swarm, part);
      }
      waiting.add(part);
      order.forget();
    };
  }
  return null;
}

/** A part that this host is first for; once nothing has come for a while, any. */
function nextStored(swarm: Swarm, here: readonly Friend[]): (() => Promise<void>) | null {
  const { ask, waiting, order } = swarm;
  const now = performance.now();
  const idle = now - swarm.heardAt >= Math.max(leastIdleMs, Math.max(firstIdleMs, 2 * swarm.storeMs) / 2 ** swarm.impatient);
  if (swarm.fromStore >= (idle || now - swarm.begunAt < settlingMs ? 1 : ask.parallel)) return null;
  const fetching = here.filter(({ rows }) => typeof rows === "object").map(({ neighbour }) => neighbour.id);
  const part = order.next(fetching.toSorted(), idle, (one) => !idle && here.some((friend) => hasAll(friend, one)));
  if (!part) return null;
  if (idle) {
    swarm.impatient++;
    swarm.heardAt = now;
  }
  waiting.delete(part);
  swarm.fromStore++;
  return async () => {
    await fetchWhole(ask, part.span).finally(() => swarm.fromStore--);
    swarm.storeMs = performance.now() - now;
    ended(swarm, part);
  };
}

function ended(swarm: Swarm, { rows }: Part): void {
  swarm.done++;
  swarm.heardAt = performance.now();
  swarm.ask.onRows(rows);
}

function firstOf<T>(items: Iterable<T>, wanted: (item: T) => boolean): T | undefined {
  for (const item of items) if (wanted(item)) return item;
  return undefined;
}
