/**
 * How many packs a push has on its way side by side, and so how large they are: all of them together never hold more than one pack may.
 *
 * The one idea: so a store is brought 16 MiB in the time that a pack is on its way. Where most of that time is waiting for the answer, packs of half the size, twice as
 * many, are on their way for less; where the line is the limit, they are not. It is tried now and then, while packs wait for the line, and kept where it shows.
 */
import { packBytes } from "./format.ts";

export interface PackWidth {
  /** Packs on their way at once from now on; each that begins now holds that part of all. */
  current(): number;
  /** Told of each pack that came. */
  came(pack: Journey): void;
}

export interface Journey {
  readonly bytes: number;
  readonly ms: number;
  /** Others waited for its place, from its beginning to its end: the line was full. */
  readonly crowded: boolean;
}

/** Four packs of 4 MiB fill a line of 1 Gbit/s whose answers take 100 ms, and a pull reads each at once. */
export const defaultParallel = 4;
/** More are too small to be worth a request each. */
const maxParallel = 8;
/** Journeys of either kind that are looked at: one that was held up decides nothing. */
const looked = 8;
/** So many large ones come between two tries: a tenth of them is small then at most. */
const between = 64;
/** Twice the requests, for all pulls to come too, are worth no less than a seventh more. */
const worth = 0.87;

/** What a pack of a push holds at most, when so many may be on their way at once. */
export const sharedPackBytes = (parallel: number): number => Math.floor(packBytes / parallel);

/** `asked`: so many and no others. */
export function openPackWidth(asked?: number): PackWidth {
  if (asked !== undefined) return { current: () => Math.min(asked, maxParallel), came: () => undefined };
  let width = defaultParallel;
  let until = looked;
  let [usual, tried]: [number[], number[]] = [[], []];
  // The first small ones still travel among large ones.
  let passed = 0;
  const goBack = () => {
    [width, until, usual, tried, passed] = [defaultParallel, between, [], [], 0];
  };
  return {
    current: () => width,
    came: ({ bytes, ms, crowded }) => {
      if (!crowded || tried.length === looked) return;
      const isSmall = bytes <= sharedPackBytes(maxParallel);
      if (width === defaultParallel) {
        if (!isSmall && usual.push(ms) === until) width = maxParallel;
      } else if (isSmall && ++passed > maxParallel && tried.push(ms) === looked) {
        if (median(tried) > worth * median(usual)) goBack();
      }
    },
  };
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
