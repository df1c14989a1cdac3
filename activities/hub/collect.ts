/**
 * The hub's part of a collection: all of it, since only the hub has the store's credentials and knows what lives.
 *
 * The one idea: each step asks anew what lives, and says to the ledger of condemned objects what it found; so any of them may run twice, or die in the middle.
 */
import { listDamage, livingTrees, noteCare, pointTo } from "../../db/care.ts";
import type { Database } from "../../db/connect.ts";
import { judgedObjects, packsOfLiving, sweep, type DeadObject } from "../../images/collect.ts";
import { packKey } from "../../images/format.ts";
import { planRepack, repack, type RepackAsk } from "../../images/repack.ts";
import type { CollectActivities } from "../../workflows/catalog/collect.ts";
import { openCared, waiting, type Cared, type Caring } from "./store-care.ts";

/** Rows of one write: some 200 KB. */
const condemnedAtOnce = 500;

export function collectActivities(caring: Caring): CollectActivities {
  const { db } = caring;
  return {
    foreseeCollection: async (ask) => {
      const cared = await openCared(caring, ask);
      let [deadObjects, deadBytes] = [0, 0];
      for await (const { bytes } of deadObjectsOf(cared, await livingTrees(db, cared.storeId))) {
        deadObjects++;
        deadBytes += bytes;
      }
      const plan = await planRepack(await repackAsk(db, cared));
      return { deadObjects, deadBytes, mostlyDeadPacks: plan.packs.length, repackFreesBytes: plan.freedBytes };
    },

    repackStore: async (ask) => repackCared(db, await openCared(caring, ask)),
    condemnDead: async (ask) => condemnCared(db, await openCared(caring, ask)),
    sweepStore: async (ask) => sweepCared(db, await openCared(caring, ask)),
  };
}

export async function repackCared(db: Database, cared: Cared) {
  const ask = await repackAsk(db, cared);
  const { trees, packs, movedBytes } = await repack(ask, await planRepack(ask));
  return { repackedTrees: trees, repackedPacks: packs, movedBytes };
}

export async function condemnCared(db: Database, cared: Cared) {
  const { storeId, ledger } = cared;
  const before = await waiting(db, storeId);
  let batch: DeadObject[] = [];
  for await (const dead of deadObjectsOf(cared, await livingTrees(db, storeId))) {
    batch.push(dead);
    if (batch.length < condemnedAtOnce) continue;
    await ledger.condemn(batch);
    batch = [];
  }
  await ledger.condemn(batch);
  const after = await waiting(db, storeId);
  return {
    condemnedObjects: Math.max(0, after.waitingObjects - before.waitingObjects),
    condemnedBytes: Math.max(0, after.waitingBytes - before.waitingBytes),
  };
}

export async function sweepCared(db: Database, { storeId, store, ledger, signal }: Cared) {
  const { bytes: removedBytes, objects: removedObjects } = await sweep({ store, ledger, living: () => livingTrees(db, storeId), signal });
  await noteCare(db, storeId, { collected: true });
  return { removedObjects, removedBytes, ...(await waiting(db, storeId)) };
}

async function* deadObjectsOf({ store, signal }: Cared, refs: Awaited<ReturnType<typeof livingTrees>>): AsyncGenerator<DeadObject> {
  const packs = await packsOfLiving(store, refs, signal);
  for await (const { verdict, key, bytes } of judgedObjects(store, { refs, packs }, signal)) if (verdict === "dead") yield { key, bytes };
}

async function repackAsk(db: Database, { storeId, store, folder, signal, progress }: Cared): Promise<RepackAsk> {
  const living = await livingTrees(db, storeId);
  const damage = await listDamage(db, storeId);
  // Broken where nothing lives: moved away from, the pack can go. Where a living chunk is broken, healing comes first.
  const damaged = new Set(
    damage.filter(({ key, digests }) => digests.length === 0 && key === packKey(key.slice(-64))).map(({ key }) => key.slice(-64)),
  );
  return {
    store,
    living,
    folder,
    damaged,
    signal,
    onProgress: progress,
    pointTo: async (from, to) =>
      void (await pointTo(db, { storeId, from, to: { generation: to.generation, storedBytes: to.storedBytes } })),
  };
}
