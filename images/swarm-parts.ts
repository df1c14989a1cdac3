/**
 * The parts of an image while it is fetched: which wait, and which are under way from whom.
 *
 * A part may be under way twice, when the first source is late: whichever comes first ends the other, and only that one counts.
 */
import type { Friend } from "./swarm-friends.ts";
import { markOf, mixed } from "./swarm-order.ts";
import { cellOf, type Span } from "./wanted.ts";

/** Some chunks that are read together, by their place in the store, with all their rows. */
export interface Part {
  readonly span: Span;
  readonly rows: readonly number[];
  readonly plainBytes: number;
  readonly mark: number;
}

export interface Try {
  /** Null: from the store. */
  readonly friend: Friend | null;
  readonly begunAt: number;
  readonly abort: AbortController;
}

export interface Parts {
  readonly waiting: ReadonlySet<Part>;
  readonly tries: ReadonlyMap<Part, readonly Try[]>;
  isDone(): boolean;
  begin(part: Part, friend: Friend | null): Try;
  /** Whether this try was the first to bring it. */
  won(part: Part, one: Try): boolean;
  /** Whether the part waits again, as nobody else is about to bring it. */
  lost(part: Part, one: Try): boolean;
}

export function partTable(self: string, spans: readonly Span[]): Parts {
  // Each host goes through the image in an order of its own, so that those that take from the same neighbour soon have something for one another.
  const own = markOf(self);
  const all = spans.map(partOf).toSorted((a, b) => mixed(a.mark, own) - mixed(b.mark, own));
  const waiting = new Set(all);
  const tries = new Map<Part, readonly Try[]>();
  let left = all.length;
  return {
    waiting,
    tries,
    isDone: () => left === 0,
    begin: (part, friend) => {
      const one: Try = { friend, begunAt: performance.now(), abort: new AbortController() };
      waiting.delete(part);
      tries.set(part, [...(tries.get(part) ?? []), one]);
      return one;
    },
    won: (part, one) => {
      const both = tries.get(part);
      if (!both) return false;
      tries.delete(part);
      left--;
      for (const other of both) if (other !== one) other.abort.abort();
      return true;
    },
    lost: (part, one) => {
      const others = tries.get(part)?.filter((other) => other !== one);
      if (!others) return false;
      if (others.length > 0) tries.set(part, others);
      else {
        tries.delete(part);
        waiting.add(part);
      }
      return others.length === 0;
    },
  };
}

function partOf(span: Span): Part {
  const { chunks } = span;
  return {
    span,
    rows: chunks.flatMap(({ rows }) => rows),
    plainBytes: chunks.reduce((sum, { plainBytes, targets }) => sum + plainBytes * targets.length, 0),
    mark: markOf(`${span.pack}:${cellOf(span.offset)}`),
  };
}
