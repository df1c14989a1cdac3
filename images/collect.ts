/**
 * What of a store nothing living needs, and its removal: the two halves of a collection.
 *
 * An object is first condemned and only removed by a later look, when the grace is over and nobody who began before could still count on it; whoever is about to
 * count on a condemned object spares it. Locations go before the packs that they name, and a pack stays as long as any locations in the store name it.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { ObjectStore } from "../stores/object-store.ts";
import { locationsKey, packFolder, packKey, treeKey } from "./format.ts";
import { forEachLimited } from "./limited.ts";
import { namedPacks, packSet, readPackTable, type NamedPacks, type PackSet } from "./pack-table.ts";
import type { PackRef } from "./locations.ts";
import { missingPack, type ImageRef } from "./stored.ts";

export interface DeadObject {
  readonly key: string;
  readonly bytes: number;
}

/** A time of whoever keeps the ledger. */
export type Horizon = string;

/** What is remembered of condemned objects between two looks. Answers are true when they come back, whoever else writes there meanwhile. */
export interface Ledger {
  condemn(objects: readonly DeadObject[]): Promise<void>;
  /** The moment before which objects must have been condemned to be removed: the grace ago, or when the oldest writer that has not ended began. */
  horizon(): Promise<Horizon>;
  /** Condemned objects in the order of their keys, from after `afterKey` on: all, or those that may be removed. */
  page(ask: { afterKey: string; prefix: string; before: Horizon | null }): Promise<DeadObject[]>;
  /** From now on nobody may count on these, as far as nobody spared them: answers which. */
  claim(keys: readonly string[], before: Horizon): Promise<string[]>;
  /** They are needed again. */
  spare(keys: readonly string[]): Promise<void>;
  /** They are gone. */
  forget(keys: readonly string[]): Promise<void>;
}

export const storeRoot = ".drover/v1/";
const trees = `${storeRoot}trees/`;
const locations = `${storeRoot}locations/`;
const packs = `${storeRoot}packs/`;

export const packFolders = 256;
export const packFolderOf = (n: number): string => packFolder(n.toString(16).padStart(2, "0"));

type Lister = Pick<ObjectStore, "list">;

/** Every locations object that the store has, or those of one tree. */
export async function storedLocations(store: Lister, signal: AbortSignal, of?: string): Promise<ImageRef[]> {
  const found: ImageRef[] = [];
  for await (const { key } of store.list(of === undefined ? locations : `${locations}${of}/`)) {
    signal.throwIfAborted();
    const [, digest, generation] = /^([0-9a-f]{64})\/([1-9][0-9]{0,8})$/.exec(key.slice(locations.length)) ?? [];
    if (digest !== undefined) found.push({ digest, generation: Number(generation) });
  }
  return found;
}

/** Every pack that the store has, with its size; folder by folder, so that no listing is long. */
export async function storedPacks(store: Lister, signal: AbortSignal): Promise<NamedPacks> {
  const found = packSet();
  for (let n = 0; n < packFolders; n++) {
    signal.throwIfAborted();
    const folder = packFolderOf(n);
    for await (const { key, bytes } of store.list(folder)) {
      const sha256 = key.slice(folder.length);
      if (isSha256(sha256)) found.add({ sha256, bytes });
    }
  }
  return found;
}

const isSha256 = (text: string): boolean => /^[0-9a-f]{64}$/.test(text);

export interface Living {
  readonly refs: readonly ImageRef[];
  /** The packs that the locations of these name. */
  readonly packs: PackSet;
}

/** The packs of all living trees. One whose locations cannot be read ends the collection: nobody knows what it needs. */
export const packsOfLiving = (store: Pick<ObjectStore, "read">, refs: readonly ImageRef[], signal: AbortSignal): Promise<PackSet> =>
  namedPacks(store, refs, {
    signal,
    onBroken: (_, error) => {
      throw error;
    },
  });

/** Whether any living tree needs the object of this key; keys of no known form are nobody's to judge. */
export function judgeKey({ refs, packs: named }: Living): (key: string) => "living" | "dead" | "unknown" {
  const living = new Set(refs.flatMap(({ digest, generation }) => [treeKey(digest), locationsKey(digest, generation)]));
  return (key) => {
    if (living.has(key)) return "living";
    const sha256 = key.slice(packs.length + 3);
    if (key.startsWith(packs))
      return !isSha256(sha256) || key !== packKey(sha256) ? "unknown" : named.sizeOf(sha256) === null ? "dead" : "living";
    if (key.startsWith(trees)) return isSha256(key.slice(trees.length)) ? "dead" : "unknown";
    return /^[0-9a-f]{64}\/[1-9][0-9]{0,8}$/.test(key.slice(locations.length)) && key.startsWith(locations) ? "dead" : "unknown";
  };
}

/** Every object of the store with what it is, in no order. */
export async function* judgedObjects(
  store: Lister,
  living: Living,
  signal: AbortSignal,
): AsyncGenerator<DeadObject & { verdict: "living" | "dead" | "unknown" }> {
  const judge = judgeKey(living);
  const prefixes = [trees, locations, ...Array.from({ length: packFolders }, (_, n) => packFolderOf(n))];
  for (const prefix of prefixes) {
    for await (const { key, bytes } of store.list(prefix)) {
      signal.throwIfAborted();
      yield { key, bytes, verdict: judge(key) };
    }
  }
}

export interface Swept {
  readonly objects: number;
  readonly bytes: number;
}

export interface SweepAsk {
  readonly store: Pick<ObjectStore, "read" | "list" | "remove">;
  readonly ledger: Ledger;
  /** Asked anew: what lives when the sweep begins, not when the objects were condemned. */
  readonly living: () => Promise<readonly ImageRef[]>;
  readonly signal: AbortSignal;
  readonly onRemoved?: (swept: Swept) => void;
}

/** Removes what is due. A living tree that is not whole ends it before any pack is removed. */
export async function sweep(ask: SweepAsk): Promise<Swept> {
  const { store, ledger, signal } = ask;
  // Before what lives is read: a writer that ends in between has published by then what it made.
  const before = await ledger.horizon();
  const refs = await ask.living();
  const totals = { objects: 0, bytes: 0 };
  const remove = remover(ask, before, totals);
  const lists = judgeKey({ refs, packs: packSet() });
  for (const prefix of [locations, trees]) {
    await spareLiving(ledger, prefix, lists);
    await remove(prefix, () => true);
  }
  const named = await packsOfLiving(store, refs, signal);
  await mustBeWhole(store, refs, signal);
  await spareLiving(ledger, packs, judgeKey({ refs, packs: named }));
  // Not only the living: a push under way may have written its locations already, and what is condemned may be spared until it is gone.
  const everywhere = await namedPacks(store, await storedLocations(store, signal), { signal, onBroken: () => undefined });
  await remove(packs, (key) => everywhere.sizeOf(key.slice(packs.length + 3)) === null);
  return totals;
}

async function spareLiving(ledger: Ledger, prefix: string, judge: (key: string) => string): Promise<void> {
  for await (const page of pages(ledger, prefix, null)) {
    const living = page.filter(({ key }) => judge(key) === "living").map(({ key }) => key);
    if (living.length > 0) await ledger.spare(living);
  }
}

async function* pages(ledger: Ledger, prefix: string, before: Horizon | null): AsyncGenerator<DeadObject[]> {
  let afterKey = "";
  for (;;) {
    const page = await ledger.page({ afterKey, prefix, before });
    const last = page.at(-1);
    if (!last) return;
    yield page;
    afterKey = last.key;
  }
}

/** So few are claimed at once that they are gone within seconds: whoever needs one of them meanwhile waits that long. */
const claimedAtOnce = 50;
/** Requests at once: together with the pause between batches this leaves a store time for others. */
const removalsAtOnce = 8;
/** Half of what passes before another attempt begins after this one fell silent: one that was stopped must not remove what others were promised since, so it claims anew. */
const claimMs = 5_000;

function remover({ store, ledger, signal, onRemoved }: SweepAsk, before: Horizon, totals: { objects: number; bytes: number }) {
  const removeBatch = async (batch: ReadonlyMap<string, number>): Promise<void> => {
    const left = new Set(batch.keys());
    while (left.size > 0) {
      const until = performance.now() + claimMs;
      const claimed = await ledger.claim([...left], before);
      const gone: string[] = [];
      await forEachLimited(claimed, removalsAtOnce, async (key) => {
        signal.throwIfAborted();
        if (performance.now() > until) return;
        await store.remove(key);
        gone.push(key);
      });
      await ledger.forget(gone);
      for (const key of gone) totals.bytes += batch.get(key) ?? 0;
      totals.objects += gone.length;
      onRemoved?.(totals);
      // What was spared meanwhile is not claimed any more; what was not reached in time is claimed again.
      const again = new Set(claimed.filter((key) => !gone.includes(key)));
      for (const key of left) if (!again.has(key)) left.delete(key);
    }
  };
  return async (prefix: string, may: (key: string) => boolean): Promise<void> => {
    for await (const page of pages(ledger, prefix, before)) {
      const found = page.filter(({ key }) => may(key));
      for (let at = 0; at < found.length; at += claimedAtOnce) {
        await removeBatch(new Map(found.slice(at, at + claimedAtOnce).map((one) => [one.key, one.bytes])));
        // Others of this process have a turn.
        await pause(0);
      }
    }
  };
}

/** The packs that a living tree needs and the store does not have as they should be. */
export async function absentPacks(
  store: Pick<ObjectStore, "read">,
  refs: Iterable<ImageRef>,
  present: PackSet,
  signal: AbortSignal,
): Promise<Array<{ ref: ImageRef; pack: PackRef; found: number | null }>> {
  const absent: Array<{ ref: ImageRef; pack: PackRef; found: number | null }> = [];
  for (const ref of refs) {
    for (const pack of await readPackTable(store, ref, signal)) {
      const found = present.sizeOf(pack.sha256);
      if (found !== pack.bytes) absent.push({ ref, pack, found });
    }
  }
  return absent;
}

/** Locations with a flipped bit name packs that never were, and condemn those that they should name: so nothing is removed before that is mended. */
async function mustBeWhole(store: Pick<ObjectStore, "read" | "list">, refs: readonly ImageRef[], signal: AbortSignal): Promise<void> {
  const [first] = await absentPacks(store, refs, await storedPacks(store, signal), signal);
  if (first) throw missingPack(first.pack.sha256);
}
