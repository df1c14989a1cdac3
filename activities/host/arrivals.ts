/**
 * Who still needs what lies in the cache's incoming folder, and which of it is whole.
 *
 * The one idea: a second operation that wants the same image neither fetches it again nor loses it to the first one's end.
 */
export interface Arrivals {
  want(digest: string, operationId: string): void;
  arrived(digest: string): void;
  isHere(digest: string): boolean;
  isWanted(digest: string): boolean;
  /** The operations that want it, as far as this process was told. */
  wantedBy(digest: string): string[];
  /** True when nobody else wants it. */
  leave(digest: string, operationId: string): boolean;
}

export function openArrivals(): Arrivals {
  const wanting = new Map<string, Set<string>>();
  const here = new Set<string>();
  return {
    want: (digest: string, operationId: string) => void wanting.set(digest, (wanting.get(digest) ?? new Set()).add(operationId)),
    arrived: (digest: string) => void here.add(digest),
    isHere: (digest: string) => here.has(digest),
    isWanted: (digest: string) => wanting.has(digest),
    wantedBy: (digest: string) => [...(wanting.get(digest) ?? [])],
    leave: (digest: string, operationId: string) => {
      const others = wanting.get(digest);
      others?.delete(operationId);
      if (others && others.size > 0) return false;
      wanting.delete(digest);
      here.delete(digest);
      return true;
    },
  };
}
