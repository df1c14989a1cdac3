/**
 * Whether a cached image is still what it was fetched as, asked before anything is made of it.
 *
 * The one idea: a seal that holds costs a look at each entry. What was touched since is hashed again: right bytes are sealed anew, wrong ones go out of the
 * cache and are fetched again, and the hub is told.
 */
import { sealHolds } from "../../images/seal.ts";
import { verifyFolder, type Mismatch } from "../../images/verify.ts";
import type { Wanted } from "../../workflows/catalog/fetch.ts";
import type { Attempt } from "./attempt.ts";
import type { HostContext } from "./context.ts";

type Parts = Pick<HostContext, "cache">;

export interface FoundDamage {
  readonly digest: string;
  readonly message: string;
}
interface Looking extends Pick<Attempt, "signal" | "note"> {
  /** Tells the hub. */
  damaged(found: FoundDamage): void | Promise<void>;
}

/** Whether the image is here, sound, and counts as used now; one that is damaged is taken out and told, so that it is fetched anew. */
export async function isReady(context: HostContext, { digest, image }: Wanted, { signal, note, damaged }: Looking): Promise<boolean> {
  const { cache, images, changed } = context;
  const isHere = () => cache.has(digest);
  const isSound = async () => {
    if (!(await isHere())) return false;
    const damage = await damageOf(context, digest, signal, () => note({ waitsFor: "the cached image to be read again" }));
    if (!damage) return true;
    const message = `The cached image ${image} was damaged: ${damage.path} (${damage.problem}); it is fetched anew.`;
    await damaged({ digest, message });
    await cache.remove(digest);
    changed();
    return false;
  };
  // What is still on its way is not waited for here.
  const ready = (await isHere()) && (await images.run(digest, signal, isSound));
  if (ready) await cache.touch(digest);
  return ready;
}

/** What is wrong with a cached image; null when nothing is. `onHash` is told when it must be read. */
export async function damageOf({ cache }: Parts, digest: string, signal: AbortSignal, onHash: () => void): Promise<Mismatch | null> {
  const opened = await cache.open(digest);
  // Without its tree nobody can say what it should be.
  if (!opened) return { path: "tree", problem: "content" };
  const { bundle } = cache.paths(digest);
  const { tree, seal } = opened;
  if (seal && (await sealHolds(bundle, seal))) return null;
  onHash();
  const [first] = await verifyFolder({ path: bundle, tree, seal, full: false, signal });
  if (first) return first;
  await cache.reseal(digest);
  return null;
}
