/**
 * One image on its way into the incoming folder, for all operations that want it.
 *
 * The one idea: the transfer borrows the grants of whichever operation still waits for it, and starts from what is cached already.
 */
import type { Cache } from "../../images/cache.ts";
import { pullTree, type PullProgress, type PullResult } from "../../images/pull.ts";
import type { Seed } from "../../images/seeds.ts";
import type { Wanted } from "../../workflows/catalog/fetch.ts";
import type { HostContext } from "./context.ts";
import { grantedStore, type GrantedStore } from "./granted-store.ts";
import type { HubLink } from "./hub-link.ts";
import type { Transfer } from "./shared-transfer.ts";

export async function transferImage(
  { cache, link, pins, moving, peers }: HostContext,
  wanted: Wanted,
  transfer: Transfer<PullProgress>,
): Promise<PullResult> {
  const { digest, generation } = wanted;
  const { signal, onProgress } = transfer;
  const seeds = await seedsOf(cache);
  const { level: _level, ...line } = moving;
  const targetPath = cache.incoming(digest).folder;
  const ask = { digest, generation, store: storeOf(link, transfer), targetPath, seeds, signal, onProgress, ...line };
  const ended = new AbortController();
  try {
    const near = await peers?.near({ digest, operationId: transfer.operationId, signal: AbortSignal.any([signal, ended.signal]) });
    return await pins.holding(
      seeds.map((seed) => seed.digest),
      () => pullTree(near ? { ...ask, near } : ask),
    );
  } finally {
    ended.abort();
  }
}

/** The store under the grants of whichever operation still waits for the transfer. */
export function storeOf(link: HubLink, { operationId, signal }: Transfer<PullProgress>): Pick<GrantedStore, "read"> {
  const stores = new Map<string, GrantedStore>();
  const current = () => {
    const id = operationId();
    const store = stores.get(id) ?? grantedStore(link, id, signal);
    stores.set(id, store);
    return store;
  };
  return { read: (key, range, within) => current().read(key, range, within) };
}

/** A pull looks for its files in these; images used long ago are unlikely to be kin and cost a read of their tree. */
const seedsTried = 4;

async function seedsOf(cache: Cache): Promise<Seed[]> {
  const cached = await cache.list();
  return cached.slice(0, seedsTried).map(({ digest }) => ({ digest, path: cache.paths(digest).folder }));
}
