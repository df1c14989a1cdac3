/**
 * Whether a cached image is still what it was fetched as, asked before anything is made of it.
 *
 * The one idea: a seal that holds costs a look at each entry. What was touched since is hashed again: right bytes are sealed anew, wrong ones go out of the
 * cache and are fetched again, and the hub is told.
 */
import { sealHolds } from "../../images/seal.ts";
import { verifyFolder, type Mismatch } from "../../images/verify.ts";
import type { HostContext } from "./context.ts";

type Parts = Pick<HostContext, "cache">;

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
