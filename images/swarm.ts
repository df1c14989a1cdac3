/**
 * Fetches chunks from neighbours and from the store at once, so that hosts which start together cost the store about one download between them.
 *
 * Each host takes from the store what nobody else takes, tells the others what it takes and has, and has the rest from them. Whatever is late, from a neighbour or
 * from the store, is begun a second time at another neighbour that has it; what no neighbour brings comes from the store.
 */
import { fetchWhole, type FetchAsk } from "./fetch.ts";
import type { Near, Own } from "./near.ts";
import { hasAll, isDue, known, listenTo, offerAgain, offered, isOffered, readPart, type Friend } from "./swarm-friends.ts";
import { partTable, type Part, type Parts, type Try } from "./swarm-parts.ts";
import { storeSide, type StoreSide } from "./swarm-store.ts";
import type { Span } from "./wanted.ts";

export interface SwarmAsk extends FetchAsk {
  readonly near: Near;
  readonly own: Own;
}

/** Reads on their way from one neighbour, and from all: they share one network. A host begins with few; where parts take long, more of them at once would take longer still, and some too long. */
const perNeighbour = 2;
const firstNear = 2;
const mostNear = 8;
const crowdedMs = 1_000;
/** A part that takes longer from one neighbour than this, and four times as long as from another, is asked for there too. */
const lateMs = 1_000;
const lateTimes = 4;
/** How often all is looked at anew while nothing happens. */
const lookEveryMs = 50;

type Work = () => Promise<void>;

interface Swarm {
  readonly ask: SwarmAsk;
  readonly parts: Parts;
  readonly store: StoreSide;
  readonly friends: Map<string, Friend>;
  near: number;
  mostNear: number;
}

/** Returns once every part is here; what fails in the store fails it, what fails at a neighbour does not. */
export async function fetchTogether(ask: SwarmAsk, spans: readonly Span[]): Promise<void> {
  const abort = new AbortController();
  const swarm = openSwarm({ ...ask, signal: AbortSignal.any([ask.signal, abort.signal]) }, spans);
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  const begin = (work: Work) => {
    const piece: Promise<void> = work()
      .catch((error: unknown) => void failures.push(error))
      .finally(() => running.delete(piece));
    running.add(piece);
  };
  try {
    while (failures.length === 0 && !swarm.parts.isDone()) {
      ask.signal.throwIfAborted();
      for (let work = nextWork(swarm); work; work = nextWork(swarm)) begin(work);
      await Promise.race([...running, new Promise((resolve) => setTimeout(resolve, lookEveryMs))]);
    }
  } finally {
    abort.abort();
    await Promise.all(running);
  }
  if (!swarm.parts.isDone()) throw failures[0];
}

function openSwarm(ask: SwarmAsk, spans: readonly Span[]): Swarm {
  const parts = partTable(ask.near.id, spans);
  const store = storeSide({ near: ask.near, parts, parallel: ask.parallel, rows: ask.own.rows.rows });
  return { ask, parts, store, friends: new Map(), near: 0, mostNear: firstNear };
}

/** One piece of work that can begin now, or null. */
function nextWork(swarm: Swarm): Work | null {
  const { ask, parts, store, friends } = swarm;
  const here = known(ask.near.neighbours(), friends);
  leaveResting(parts);
  const due = here.find((friend) => isDue(friend, here.length));
  if (due) return listenTo(due, parts.waiting, ask.signal);
  const free = freeOf(swarm, here);
  const near = nextNear(parts, here, free);
  if (near) return fromFriend(swarm, near);
  const stored = store.next(here);
  if (stored) return fromStore(swarm, stored);
  const late = nextLate(parts, free);
  return late && fromFriend(swarm, late);
}

/** What is on its way from a neighbour that does not answer any more waits again. */
function leaveResting({ tries }: Parts): void {
  const now = performance.now();
  for (const both of tries.values()) for (const { friend, abort } of both) if (friend && friend.restsUntil > now) abort.abort();
}

interface Deal {
  readonly friend: Friend;
  readonly part: Part;
}

/** How soon a neighbour would bring one more part. */
const waitMs = ({ reading, readMs }: Friend): number => (reading + 1) * readMs;

/** The soonest first. */
function freeOf({ near, mostNear: most }: Swarm, here: readonly Friend[]): Friend[] {
  const now = performance.now();
  const free = near < most ? here.filter(({ reading, busyUntil }) => reading < perNeighbour && busyUntil <= now) : [];
  return free.toSorted((a, b) => a.reading - b.reading || waitMs(a) - waitMs(b));
}

/** A part that a neighbour has, unless another would bring it much sooner. */
function nextNear({ waiting }: Parts, here: readonly Friend[], free: readonly Friend[]): Deal | null {
  for (const friend of free) {
    const quicker = here.filter((other) => other.readMs > 0 && friend.readMs > lateMs && waitMs(other) * 2 < waitMs(friend));
    const part = offered(friend, waiting, (one) => !quicker.some((other) => isOffered(other, one)));
    if (part) return { friend, part };
  }
  return null;
}

/** A part that is under way and that a neighbour would bring sooner. */
function nextLate({ tries }: Parts, free: readonly Friend[]): Deal | null {
  const now = performance.now();
  for (const [part, [first, second]] of tries) {
    if (!first || second) continue;
    const isLate = ({ readMs }: Friend) => first.friend === null || now - first.begunAt > Math.max(lateMs, lateTimes * readMs);
    const friend = free.find((one) => one !== first.friend && isLate(one) && hasAll(one, part));
    if (friend) return { friend, part };
  }
  return null;
}

function fromFriend(swarm: Swarm, { friend, part }: Deal): Work {
  const one = swarm.parts.begin(part, friend);
  friend.reading++;
  swarm.near++;
  return async () => {
    const came = await unlessLate(swarm, one, (ask) => readPart(ask, friend, part, () => swarm.near)).finally(() => {
      friend.reading--;
      swarm.near--;
      const isCrowded = performance.now() - one.begunAt > crowdedMs;
      swarm.mostNear = isCrowded ? Math.max(1, swarm.mostNear - 1) : Math.min(mostNear, swarm.mostNear + 1);
    });
    settle(swarm, part, one, came);
  };
}

function fromStore(swarm: Swarm, part: Part): Work {
  const { ask, parts, store } = swarm;
  const one = parts.begin(part, null);
  ask.own.taking.add(part.mark);
  return async () => {
    try {
      const came = await unlessLate(swarm, one, (asked) => fetchWhole(asked, part.span).then(() => true));
      if (came) store.took(performance.now() - one.begunAt);
      settle(swarm, part, one, came);
    } finally {
      ask.own.taking.delete(part.mark);
    }
  };
}

/** Ends when another try brings the part first. What it brought of the part is told once, when all of it is here. */
async function unlessLate({ ask }: Swarm, { abort }: Try, work: (ask: FetchAsk) => Promise<boolean>): Promise<boolean> {
  const onFetched: FetchAsk["onFetched"] = ({ fetchedBytes }) => ask.onFetched({ fetchedBytes, plainBytes: 0 });
  try {
    return await work({ ...ask, onFetched, signal: AbortSignal.any([ask.signal, abort.signal]) });
  } catch (error) {
    if (abort.signal.aborted && !ask.signal.aborted) return false;
    throw error;
  }
}

function settle({ ask, parts, store, friends }: Swarm, part: Part, one: Try, came: boolean): void {
  if (came && parts.won(part, one)) {
    part.rows.forEach(ask.own.rows.add);
    ask.onFetched({ fetchedBytes: 0, plainBytes: part.plainBytes });
  }
  if (!came && parts.lost(part, one)) {
    for (const friend of friends.values()) offerAgain(friend, part);
    store.forget();
  }
}
