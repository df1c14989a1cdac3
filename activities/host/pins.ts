/**
 * Which cached images are in use right now: pinned ones are never evicted.
 *
 * The one idea: pins live in the process that uses the images, so a crash leaves none behind.
 */
export interface Pins {
  /** Pinned while `work` runs. */
  holding<T>(digests: readonly string[], work: () => Promise<T>): Promise<T>;
  /** Pinned for a while: an operation was told that the image is here, and will clone it. */
  keep(digest: string): void;
  isPinned(digest: string): boolean;
}

/** Between being told and cloning lie a few workflow steps; ten minutes outlast a hub that restarts in between. */
const keptMs = 600_000;

export function openPins(now: () => number = performance.now.bind(performance)): Pins {
  const counts = new Map<string, number>();
  const keptUntil = new Map<string, number>();
  const release = (digest: string) => {
    const left = (counts.get(digest) ?? 1) - 1;
    if (left === 0) counts.delete(digest);
    else counts.set(digest, left);
  };
  return {
    keep: (digest) => void keptUntil.set(digest, now() + keptMs),
    isPinned: (digest) => counts.has(digest) || (keptUntil.get(digest) ?? 0) > now(),
    holding: async (digests, work) => {
      for (const digest of digests) counts.set(digest, (counts.get(digest) ?? 0) + 1);
      try {
        return await work();
      } finally {
        digests.forEach(release);
      }
    },
  };
}
