/**
 * Which cached images are in use right now: used ones are never evicted.
 *
 * The one idea: uses live in the process that uses the images, so a crash leaves none behind; and an image is either used or removed, decided in one
 * moment: whoever comes while it is being removed waits, and then finds it gone.
 */
import type { Uses } from "../../images/cache-room.ts";

export interface Pins extends Uses {
  /** Used while `work` runs. */
  holding<T>(digests: readonly string[], work: () => Promise<T>): Promise<T>;
  /** Used for a while: an operation is told that the image is here, and will clone it. To be awaited before one looks whether it is. */
  keep(digest: string): Promise<void>;
}

/** Between being told and cloning lie a few workflow steps; ten minutes outlast a hub that restarts in between. */
const keptMs = 600_000;

export function openPins(now: () => number = performance.now.bind(performance)): Pins {
  const counts = new Map<string, number>();
  const keptUntil = new Map<string, number>();
  const going = new Map<string, Promise<void>>();
  const release = (digest: string) => {
    const left = (counts.get(digest) ?? 1) - 1;
    if (left === 0) counts.delete(digest);
    else counts.set(digest, left);
  };
  const isUsed = (digest: string) => counts.has(digest) || (keptUntil.get(digest) ?? 0) > now();
  // No pause between the last look and what follows it, or a removal could begin there.
  const once = async <T>(digest: string, act: () => T | Promise<T>): Promise<T> => {
    for (let removal = going.get(digest); removal; removal = going.get(digest)) await removal.catch(() => undefined);
    return act();
  };
  return {
    isUsed,
    keep: (digest) => once(digest, () => void keptUntil.set(digest, now() + keptMs)),
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
