/**
 * Who takes which part of an image from the store.
 *
 * For each part every host has a score that follows from both names alone, so all hosts agree who is first for it without asking each other. Each host goes
 * through its own parts in an order of its own: two that have not heard of each other yet seldom begin with the same.
 */
export interface Ordered {
  /** The part's name as a number, alike on all hosts. */
  readonly mark: number;
}

export interface StoreOrder<P extends Ordered> {
  /** The next part that this host may take: what it is first for, with `any` also what others are before it for, those that it is next for first. */
  next(others: readonly string[], any: boolean, isAside: (part: P) => boolean): P | null;
  /** A part came back: look at all again. */
  forget(): void;
}

export function storeOrder<P extends Ordered>(self: string, waiting: ReadonlySet<P>): StoreOrder<P> {
  let known = "";
  let ranks: P[][] = [];
  const sort = (others: readonly string[]) => {
    const name = others.join();
    if (name === known && ranks.length > 0) return;
    known = name;
    ranks = Array.from({ length: others.length + 1 }, () => []);
    for (const part of waiting) ranks[rankOf(self, others, part)]?.push(part);
    const own = (part: P) => mixed(markOf(self), part.mark);
    for (const rank of ranks) rank.sort((a, b) => own(a) - own(b));
  };
  return {
    forget: () => void (ranks = []),
    next: (others, any, isAside) => {
      sort(others);
      for (const parts of any ? ranks : ranks.slice(0, 1)) {
        // Its strongest stands last. Those that somebody took meanwhile will not come back without `forget`.
        while (parts.length > 0 && !waiting.has(parts.at(-1) as P)) parts.pop();
        const part = parts.findLast((one) => waiting.has(one) && !isAside(one));
        if (part) return part;
      }
      return null;
    },
  };
}

/** How many of the others are before this host for the part. */
function rankOf(self: string, others: readonly string[], { mark }: Ordered): number {
  const own = mixed(markOf(self), mark);
  return others.filter((other) => mixed(markOf(other), mark) > own).length;
}

/** FNV-1a: the names are ours, and nobody gains by a collision. */
export function markOf(text: string): number {
  let mark = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) mark = Math.imul(mark ^ text.charCodeAt(at), 0x01000193);
  return mark >>> 0;
}

/** Two numbers to one, every bit of which hangs on all of theirs. */
function mixed(one: number, other: number): number {
  let mark = Math.imul(one ^ Math.imul(other, 0x9e3779b1), 0x85ebca6b);
  mark = Math.imul(mark ^ (mark >>> 13), 0xc2b2ae35);
  return (mark ^ (mark >>> 16)) >>> 0;
}
