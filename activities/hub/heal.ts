/**
 * The hub's part of a healing: it says what is broken, reads back what a host wrote, and points versions to it.
 *
 * The one idea: damaged trees share chunks, so what one host wrote for one of them is given to all; each is pointed to new locations only once these were read.
 */
import { join } from "node:path";
import { z } from "zod";
import { forgetDamage, listDamage, pointTo, strikeDamage } from "../../db/care.ts";
import type { Database } from "../../db/connect.ts";
import { recordEvent } from "../../db/events.ts";
import { imagesOfStore } from "../../db/images.ts";
import { changeInput } from "../../db/operations.ts";
import type { Finding } from "../../domain/catalog/care.ts";
import { imageName } from "../../domain/catalog/rules.ts";
import { FaultError } from "../../domain/errors.ts";
import { Sha256, StoreId } from "../../domain/ids.ts";
import { corrupt, locationsKey, packKey, treeKey } from "../../images/format.ts";
import { readPack, wrongRows } from "../../images/pack-content.ts";
import { eachPlace, packRows } from "../../images/pack-rows.ts";
import type { Moved } from "../../images/pack-writer.ts";
import { freeGeneration, relocate } from "../../images/relocate.ts";
import { checkPacks, readImage, readTree, type StoredImage } from "../../images/stored.ts";
import type { HealActivities, HealedTree, HealPlan } from "../../workflows/catalog/heal.ts";
import { openCared, type Cared, type Caring } from "./store-care.ts";
import { underWay } from "./under-way.ts";

const HealRequest = z.object({ storeId: StoreId, digest: Sha256 });

export function healActivities(caring: Caring): HealActivities {
  const { db } = caring;
  return {
    planHealing: async ({ operationId }) => {
      const { input } = await db.transaction((tx) => underWay(tx, operationId, HealRequest));
      return planHealing(db, await openCared(caring, { operationId, step: "plan" }), input.digest, operationId);
    },
    checkHealing: async ({ operationId, step, plan }) => {
      const cared = await openCared(caring, { operationId, step });
      const image = await readImage(cared.store, { digest: plan.digest, generation: plan.to }, cared.signal);
      const verifiedBytes = await mustBeSound(cared, image, plan);
      const storedBytes = image.locations.packs.reduce((sum, pack) => sum + pack.bytes, 0);
      const first: HealedTree = { digest: plan.digest, from: plan.current, to: plan.to, storedBytes, whole: true };
      return { verifiedBytes, trees: [first, ...(await healOthers(db, cared, image, plan))] };
    },
    recordHealing: ({ operationId, trees }) =>
      db.transaction(async (tx) => {
        const { input } = await underWay(tx, operationId, HealRequest);
        for (const tree of trees) await recordTree(tx, { operationId, storeId: input.storeId }, tree);
      }),
  };
}

const packOf = ({ key }: Finding): string | null => (key === packKey(key.slice(-64)) ? key.slice(-64) : null);
const brokenPacks = (damage: readonly Finding[], digest: string): string[] =>
  damage.filter(({ digests }) => digests.includes(digest)).flatMap((finding) => packOf(finding) ?? []);

async function planHealing(db: Database, { storeId, store, signal }: Cared, digest: string, operationId: string): Promise<HealPlan> {
  const [image] = await imagesOfStore(db, storeId, [digest]);
  if (!image) throw new FaultError({ code: "image_not_found", message: `No version needs the tree ${digest} any more.`, subject: digest });
  const damage = (await listDamage(db, storeId)).filter(({ digests }) => digests.includes(digest));
  const keys = new Set(damage.map(({ key }) => key));
  const { generation: current } = image;
  const name = { digest, image: imageName(image), current, broken: brokenPacks(damage, digest) };
  const known = await db.transaction(
    async (tx) => (await underWay(tx, operationId, z.object({ generation: z.int().optional() }))).input.generation,
  );
  if (keys.has(treeKey(digest))) await removeBrokenTree(store, digest, signal);
  // The host may write these and no others, so they are kept with the operation, and stay the same when this is tried again.
  const to = known ?? (await freeGeneration(store, { digest, generation: current }, signal));
  await keepGeneration(db, operationId, to);
  return { ...name, from: keys.has(locationsKey(digest, current)) ? null : current, to };
}

const keepGeneration = (db: Database, operationId: string, generation: number) =>
  db.transaction(async (tx) => {
    await underWay(tx, operationId, z.unknown());
    await changeInput(tx, operationId, { generation });
  });

/** Objects are never replaced, so the host can write the tree only where none is. Looked at once more: only what is broken goes. */
async function removeBrokenTree(store: Cared["store"], digest: string, signal: AbortSignal): Promise<void> {
  const fault = await readTree(store, digest, signal).then(
    () => null,
    (error: unknown) => (error instanceof FaultError ? error.fault.code : "internal"),
  );
  if (fault === "content_corrupt") await store.remove(treeKey(digest));
}

/** Every pack is there, none of those that are broken is among them, and what the host wrote is read and is right. */
async function mustBeSound({ store, folder, signal, progress }: Cared, { locations }: StoredImage, plan: HealPlan): Promise<number> {
  const broken = locations.packs.find(({ sha256 }) => plan.broken.includes(sha256));
  if (broken) throw corrupt(`The healed locations of ${plan.digest}`, `they name the broken pack ${broken.sha256}`);
  await checkPacks(store, locations);
  const old = plan.from === null ? null : await readImage(store, { digest: plan.digest, generation: plan.from }, signal);
  const before = new Set(old?.locations.packs.map(({ sha256 }) => sha256));
  const fresh = locations.packs.filter(({ sha256 }) => !before.has(sha256));
  const totalBytes = fresh.reduce((sum, { bytes }) => sum + bytes, 0);
  let bytes = 0;
  const rows = packRows({
    store,
    refs: [{ digest: plan.digest, generation: plan.to }],
    folder: join(folder, "healed"),
    wants: (sha256) => !before.has(sha256),
    signal,
    onBroken: (_, error) => {
      throw error;
    },
  });
  for await (const pack of rows) {
    const wrong = await wrongRows(await readPack(store, pack, signal), pack.rows);
    if (wrong.length > 0) throw corrupt(`The pack ${pack.sha256} that was to heal`, `${wrong.length} of its chunks are wrong`);
    bytes += pack.bytes;
    progress(bytes, totalBytes);
  }
  return bytes;
}

async function healOthers(db: Database, { storeId, store, signal }: Cared, image: StoredImage, plan: HealPlan): Promise<HealedTree[]> {
  const damage = await listDamage(db, storeId);
  const others = [...new Set(damage.flatMap(({ digests }) => digests))].filter((digest) => digest !== plan.digest);
  const sound = new Map<string, Moved>();
  const bad = new Set(damage.flatMap((finding) => packOf(finding) ?? []));
  eachPlace(image, ({ place, pack, hash }) => {
    if (!bad.has(pack.sha256)) sound.set(hash.toString("hex"), { pack, offset: place.offset, length: place.length });
  });
  const healed: HealedTree[] = [];
  for (const { digest, generation } of await imagesOfStore(db, storeId, others)) {
    const broken = new Set(brokenPacks(damage, digest));
    const rest = damage.filter((finding) => finding.digests.includes(digest) && packOf(finding) === null);
    if (rest.length > 0) continue;
    const ref = { digest, generation };
    const moveOf = ({ hash }: { hash: Buffer }) => sound.get(hash.toString("hex")) ?? null;
    const leaves = (sha256: string) => broken.has(sha256);
    const to = await relocate({ store, ref, generation: await freeGeneration(store, ref, signal), leaves, moveOf, signal });
    if (to) healed.push({ digest, from: generation, to: to.generation, storedBytes: to.storedBytes, whole: to.left === 0 });
  }
  return healed;
}

async function recordTree(
  tx: Database,
  { operationId, storeId }: { operationId: string; storeId: string },
  { digest, from, to, storedBytes, whole }: HealedTree,
): Promise<void> {
  await pointTo(tx, { storeId, from: { digest, generation: from }, to: { generation: to, storedBytes } });
  if (!whole) return;
  for (const key of [treeKey(digest), locationsKey(digest, from)]) await forgetDamage(tx, storeId, key);
  await strikeDamage(tx, storeId, digest);
  for (const image of await imagesOfStore(tx, storeId, [digest]))
    await recordEvent(tx, {
      type: "image",
      name: "image.healed",
      subjectId: image.id,
      operationId,
      project: image.project,
      body: { image: imageName(image) },
    });
}
