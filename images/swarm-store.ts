/**
 * What a host takes from the store while others fetch the same image: what it is first for and nobody takes or has; the rest it has from them.
 *
 * Nobody is waited for in vain. A part that nobody takes falls to the next host after a while, to the one after that after another; so does one that somebody takes
 * for far longer than the store needs. The later a host hears of the others, the longer each of these whiles, so that what is taken twice stays little.
 */
import type { Near } from "./near.ts";
import { askAgain, averaged, isOffered, type Friend } from "./swarm-friends.ts";
import { storeOrder, type StoreLook } from "./swarm-order.ts";
import type { Part, Parts } from "./swarm-parts.ts";

export interface StoreSide {
  /** A part that is to be taken now. */
  next(here: readonly Friend[]): Part | null;
  took(ms: number): void;
  /** A part came back to those that wait. */
  forget(): void;
}

interface StoreSetup {
  readonly near: Near;
  readonly parts: Parts;
  /** Reads of the store on their way at once, of all that fetch together. */
  readonly parallel: number;
  /** Chunks of the whole image. */
  readonly rows: number;
}

/** Neighbours on one network answer in milliseconds: so long nothing is taken that they may have. */
const hearMs = 2_000;
/** Who is told of, has nothing and does not fetch is about to: it reads what the image is made of, and looks what it has. */
const beginMs = 5_000;
/** From one host to the next, at least; it must have been heard meanwhile that somebody takes the part. */
const leastStaggerMs = 1_000;
/** A neighbour's reads of the store take as long as ours; one that takes four times as long has trouble with it. */
const patienceTimes = 4;
const leastPatienceMs = 5_000;
/** A part of 2 MiB that takes longer than this, and more than twice as long as from the store, is not worth waiting for. */
const slowMs = 1_000;

export function storeSide({ near, parts, parallel, rows: total }: StoreSetup): StoreSide {
  const order = storeOrder(near.id, parts.waiting);
  const begunAt = performance.now();
  /** How long a part was on its way from the store, and what it cost in time, as several were; 0 until one came. */
  let [readMs, partMs] = [0, 0];
  let idleSince: number | null = null;
  const isSure = certainty();
  let trusted = "";

  const running = () => [...parts.tries.values()].flat().filter(({ friend }) => friend === null);

  const next: StoreSide["next"] = (here) => {
    const now = performance.now();
    const unheard = here.some(({ rows }) => rows === undefined);
    if (unheard && now - begunAt < hearMs) return null;
    const reads = running();
    const oldestMs = reads.reduce((most, { begunAt: since }) => Math.max(most, now - since), 0);
    const costMs = Math.max(partMs, oldestMs / Math.max(1, reads.length));
    const quick = here.filter((friend) => friend.partMs <= Math.max(slowMs, 2 * costMs));
    if (quick.some(({ rows }) => rows === "all")) return null;
    const fetching = here.filter((friend) => fetches(friend, total, now));
    const trying = unheard || (partMs === 0 && quick.length < here.length);
    const most = trying ? 1 : Math.max(1, Math.round(parallel / (fetching.length + 1)));
    if (reads.length >= most) return null;
    trust(quick);
    return choose(quick, fetching, { now, patienceMs: Math.max(leastPatienceMs, patienceTimes * Math.max(readMs, oldestMs)) });
  };

  /** What was expected of somebody who is slow or gone now is no longer. */
  const trust = (quick: readonly Friend[]) => {
    const names = quick.flatMap(({ rows, neighbour }) => (typeof rows === "object" ? [neighbour.id] : [])).join();
    if (names !== trusted) order.forget();
    trusted = names;
  };

  const choose = (quick: readonly Friend[], fetching: readonly Friend[], { now, patienceMs }: Moment): Part | null => {
    const staggerMs = fetching.reduce((most, { heardAt }) => Math.max(most, 2 * (now - heardAt)), leastStaggerMs);
    const look: StoreLook<Part> = {
      isGone: (part) => !parts.waiting.has(part) || quick.some((friend) => isOffered(friend, part)),
      isAside: ({ mark }, rank) => fetching.some(({ taking }) => now - (taking.get(mark) ?? -Infinity) < patienceMs + rank * staggerMs),
    };
    const others = fetching.map(({ neighbour }) => neighbour.id).toSorted();
    const own = order.next(others, 0, look);
    idleSince = own ? null : (idleSince ?? now);
    if (own) return own;
    const help = order.next(others, Math.floor((now - (idleSince ?? now)) / staggerMs), look);
    return help && isSure(fetching, now) ? help : null;
  };

  const took: StoreSide["took"] = (ms) => {
    readMs = averaged(readMs, ms);
    partMs = averaged(partMs, ms / Math.max(1, running().length));
  };

  return { next, forget: order.forget, took };
}

interface Moment {
  readonly now: number;
  readonly patienceMs: number;
}

const fetches = ({ rows, toldAt }: Friend, total: number, now: number): boolean =>
  typeof rows === "object" ? rows.count < total : rows === undefined || (rows === "none" && now - toldAt < beginMs);

/** Whoever wants to help asks all once more, so that two seldom take the same. */
function certainty(): (fetching: readonly Friend[], now: number) => boolean {
  let unsureSince: number | null = null;
  return (fetching, now) => {
    unsureSince ??= now;
    const since = unsureSince;
    const unheard = fetching.filter(({ heardAt }) => heardAt < since);
    for (const friend of unheard) if (friend.askedAt < since) askAgain(friend);
    if (unheard.length === 0) unsureSince = null;
    return unheard.length === 0;
  };
}
