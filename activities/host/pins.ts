/**
 * Which cached images are in use right now: used ones are never evicted.
 *
 * The one idea: an image is either used or removed, decided in one moment: whoever comes while it is being removed waits, and then finds it gone. What works on an
 * image uses it in this process; what counts on it between two steps does so on the disk, until its operation has ended.
 */
import type { Uses } from "../../images/cache-room.ts";
import type { CacheUses } from "../../images/cache-uses.ts";

export interface Pins extends Uses {
  /** Used while `work` runs. */
  holding<T>(digests: readonly string[], work: () => Promise<T>): Promise<T>;
  /** Used until the operation has ended: it is told that the image is here, and will clone it. To be awaited before one looks whether it is. */
  keep(digest: string, operationId: string): Promise<void>;
  /** Operations that images are kept for. */
  keptFor(): string[];
  /** The operation has ended, in whatever way. */
  release(operationId: string): Promise<void>;
}

export function openPins(uses: CacheUses): Pins {
  const counts = new Map<string, number>();
  const going = new Map<string, Promise<void>>();
  const release = (digest: string) => {
    const left = (counts.get(digest) ?? 1) - 1;
    if (left === 0) counts.delete(digest);
    else counts.set(digest, left);
  };
  const isUsed = (digest: string) => counts.has(digest) || uses.isUsed(digest);
  // No pause between the last look and what follows it, or a removal could begin there.
  const once = async <T>(digest: string, act: () => T | Promise<T>): Promise<T> => {
    for (let removal = going.get(digest); removal; removal = going.get(digest)) await removal.catch(() => undefined);
    return act();
  };
  return {
    isUsed,
    keep: (digest, operationId) => once(digest, () => uses.begin(operationId, digest)),
    keptFor: uses.operations,
    release: uses.end,
    holding: async (digests, work) => {
      const held: string[] = [];
      try {
        for (const digest of digests) {
          await once(digest, () => counts.set(digest, (counts.get(digest) ?? 0) + 1));
          held.push(digest);
        }
        return await work();
      } finally {
        held.forEach(release);
      }
    },
    unlessUsed: (digest, act) =>
      once(digest, async () => {
        if (isUsed(digest)) return false;
        const removal = act().finally(() => going.delete(digest));
        going.set(digest, removal);
        await removal;
        return true;
      }),
  };
}
