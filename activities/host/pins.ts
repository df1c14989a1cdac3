/** Which cached images are in use right now: pinned ones are never evicted. Held only while someone works, so a crash leaves no pin behind. */
export interface Pins {
  holding<T>(digest: string, work: () => Promise<T>): Promise<T>;
  holdingAll<T>(digests: readonly string[], work: () => Promise<T>): Promise<T>;
  isPinned(digest: string): boolean;
}

export function openPins(): Pins {
  const counts = new Map<string, number>();
  const hold = (digest: string) => counts.set(digest, (counts.get(digest) ?? 0) + 1);
  const release = (digest: string) => {
    const left = (counts.get(digest) ?? 1) - 1;
    if (left === 0) counts.delete(digest);
    else counts.set(digest, left);
  };
  const holdingAll: Pins["holdingAll"] = async (digests, work) => {
    digests.forEach(hold);
    try {
      return await work();
    } finally {
      digests.forEach(release);
    }
  };
  return { isPinned: (digest) => counts.has(digest), holding: (digest, work) => holdingAll([digest], work), holdingAll };
}
