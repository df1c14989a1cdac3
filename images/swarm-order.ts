/**
 * Who takes which part of an image from the store.
 *
 * For each part every host has a score that follows from both names alone, so all hosts agree who is first for it, who is next, and so on, without asking each other.
 * A host begins with the parts that it is strongest for; whoever helps it begins at the other end, so the two do not meet before there is one part left.
 */
export interface Ordered {
  /** The part's name as a number, alike on all hosts. */
  readonly mark: number;
}

export interface StoreLook<P> {
  /** No matter for the store any more, until all is forgotten. */
  isGone(part: P): boolean;
  /** Left to somebody else for now, at the place that this host has in the part's order. */
  isAside(part: P, rank: number): boolean;
}

export interface StoreOrder<P extends Ordered> {
  /** The next part that this host may take, with at most `mostBefore` others before it. */
  next(others: readonly string[], mostBefore: number, look: StoreLook<P>): P | null;
  /** What was gone may be back: look at all again. */
  forget(): void;
}

export function storeOrder<P extends Ordered>(self: string, waiting: ReadonlySet<P>): StoreOrder<P> {
  let known: string | null = null;
  let ranks: P[][] = [];
  return {
    forget: () => void (known = null),
    next: (others, mostBefore, look) => {
      const name = others.join();
      if (name !== known) ranks = ranked(self, others, waiting);
      known = name;
      for (const [rank, parts] of ranks.slice(0, mostBefore + 1).entries()) {
        for (let last = parts.at(-1); last && look.isGone(last); last = parts.at(-1)) parts.pop();
        const part = parts.findLast((one) => !look.isGone(one) && !look.isAside(one, rank));
        if (part) return part;
      }
      return null;
    },
  };
}

/** By how many others are before this host; what is to be taken first stands last. */
function ranked<P extends Ordered>(self: string, others: readonly string[], waiting: ReadonlySet<P>): P[][] {
  const ranks: P[][] = Array.from({ length: others.length + 1 }, () => []);
  const weights = new Map<P, number>();
  const marks = others.map(markOf);
  const own = markOf(self);
  for (const part of waiting) {
    const score = mixed(own, part.mark);
    let [rank, first] = [0, score];
    for (const mark of marks) {
      const other = mixed(mark, part.mark);
      if (other > score) rank++;
      first = Math.max(first, other);
    }
    weights.set(part, rank === 0 ? first : -first);
    ranks[rank]?.push(part);
  }
  const weight = (part: P) => weights.get(part) ?? 0;
  for (const parts of ranks) parts.sort((a, b) => weight(a) - weight(b));
  return ranks;
}

/** FNV-1a: the names are ours, and nobody gains by a collision. */
export function markOf(text: string): number {
  let mark = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) mark = Math.imul(mark ^ text.charCodeAt(at), 0x01000193);
  return mark >>> 0;
}

/** Two numbers to one, every bit of which hangs on all of theirs. */
export function mixed(one: number, other: number): number {
  let mark = Math.imul(one ^ Math.imul(other, 0x9e3779b1), 0x85ebca6b);
  mark = Math.imul(mark ^ (mark >>> 13), 0xc2b2ae35);
  return (mark ^ (mark >>> 16)) >>> 0;
}
