/** A folder store with versions in a hub's rows, collections of it that are killed, and the look at what they left. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomUUID } from "node:crypto";
import { livingTrees } from "../../db/care.ts";
import { imageVersions, stores } from "../../db/schema.ts";
import { checkContent, checkStructure } from "../../images/check.ts";
import type { ImageRef } from "../../images/stored.ts";
import { claimStore } from "../../stores/identity.ts";
import { folderStore } from "../../stores/folder.ts";
import { addImage, type Hub } from "../control/hub.ts";
import { never, pushModelImage } from "../images/catalog-model.ts";
import { random } from "../images/samples.ts";
import { watch } from "../images/victims.ts";

export interface Order {
  readonly databaseUrl: string;
  readonly storeId: string;
  readonly storePath: string;
  readonly workFolder: string;
  /** What it asks of the store, line by line. */
  readonly logPath: string;
}

const firstImages = 14;

export async function openStoreOf(hub: Hub, seed: number) {
  const folder = await mkdtemp(join(tmpdir(), "drover-care-"));
  const storePath = join(folder, "store");
  const store = folderStore(storePath);
  await claimStore(store, hub.control.hubId, never);
  const storeId = randomUUID();
  const { db } = hub.control;
  await db.insert(stores).values({ id: storeId, name: `care-${storeId}`, kind: "folder", location: `folder:${storePath}` });
  const next = random(seed);
  const pick = (limit: number) => Math.floor(next() * limit);
  const fill = async (count: number) => {
    for (let n = 0; n < count; n++) {
      const first = pick(60);
      const chunks = Array.from({ length: 6 + pick(20) }, (_, at) => first + at);
      const add = ({ digest }: ImageRef) => addImage(hub, storeId, `care-${randomUUID()}`, { digest, tags: [] });
      const whole = await pushModelImage(store, { chunks, base: null, perPack: 5 });
      // Half of them were deleted since; of every second of these a later version needs two chunks in five.
      if (n % 2 === 0) await add(whole);
      else if (n % 4 === 1) {
        const kept = chunks.filter((_, at) => at % 5 < 2);
        await add(await pushModelImage(store, { chunks: kept, base: whole, perPack: 5 }));
      }
    }
  };
  await fill(firstImages);
  const order: Order = { databaseUrl: hub.url, storeId, storePath, workFolder: join(folder, "work"), logPath: join(folder, "log") };
  await writeFile(order.logPath, "");
  const look = async () => {
    const living = await livingTrees(db, storeId);
    const structure = await checkStructure({ store, living, owner: { hubId: hub.control.hubId, storeId: null }, signal: never });
    const content = await checkContent({ store, living, folder: join(folder, "look"), wants: () => true, signal: never });
    return { findings: [...structure.findings, ...content.findings], orphans: structure.orphans, trees: living.length };
  };
  return { order, store, storePath, storeId, fill, look, pick, close: () => rm(folder, { recursive: true, force: true }) };
}

export interface Ended {
  readonly killed: boolean;
  readonly steps: number;
}

/** Runs a collection; kills it once it has said so many steps. */
export async function runCollection(order: Order, afterSteps = Infinity): Promise<Ended> {
  const { code, killed, steps } = await watch(new URL("./victim.ts", import.meta.url), order, { afterSteps });
  if (!killed && code !== 0) throw new Error(`The collection ended with code ${code}.`);
  return { killed, steps };
}

export interface KilledCollections {
  readonly killed: number;
  readonly lost: string[];
  /** Objects that are dead and were not removed. */
  readonly left: number;
  /** Packs that travelled again although they had come and nobody had removed them. */
  readonly again: string[];
  /** Bytes of packs that collections sent. */
  readonly sentBytes: number;
}

/** Kills collections of one store at random points, with pushes and deletes in between. Nothing living may be lost, nothing dead be left. */
export async function killCollections(hub: Hub, seed: number, kills: number): Promise<KilledCollections> {
  const world = await openStoreOf(hub, seed);
  const lost: string[] = [];
  let killed = 0;
  try {
    // What a collection asks of such a store when nobody kills it: so that kills meet its end as often as its beginning.
    let { steps: most } = await runCollection(world.order);
    await world.fill(firstImages);
    for (let n = 0; n < kills; n++) {
      const { killed: was, steps } = await runCollection(world.order, 1 + world.pick(most));
      if (was) killed++;
      else most = Math.max(10, steps - 1);
      const { findings } = await world.look();
      lost.push(...findings.map(({ key, problem }) => `kill ${n}: ${key} ${problem}`));
      if (n % 2 === 1) {
        await world.fill(2);
        await forgetSome(hub, world.storeId, world.pick);
      }
    }
    // One to condemn what is left, one to remove it, and one for what only repacking freed.
    for (let n = 0; n < 3; n++) await runCollection(world.order);
    const { findings, orphans } = await world.look();
    lost.push(...findings.map(({ key, problem }) => `in the end: ${key} ${problem}`));
    return { killed, lost, left: orphans, ...travelled(await readFile(world.order.logPath, "utf8")) };
  } finally {
    await world.close();
  }
}

function travelled(log: string): Pick<KilledCollections, "again" | "sentBytes"> {
  const there = new Set<string>();
  const again: string[] = [];
  let sentBytes = 0;
  for (const [, word, key = "", bytes = "0"] of log.matchAll(/^(sent|there|gone) (\S*\/packs\/\S+)(?: (\d+))?$/gm)) {
    if (word === "there") there.add(key);
    if (word === "gone") there.delete(key);
    if (word !== "sent") continue;
    sentBytes += Number(bytes);
    if (there.has(key)) again.push(key);
  }
  return { again, sentBytes };
}

async function forgetSome({ control: { db }, sql }: Hub, storeId: string, pick: (limit: number) => number): Promise<void> {
  const rows = await db.select({ id: imageVersions.id, storeId: imageVersions.storeId }).from(imageVersions);
  const ours = rows.filter((row) => row.storeId === storeId);
  const one = ours[pick(ours.length)];
  if (one && ours.length > 3) await sql`delete from image_versions where id = ${one.id}`;
}
