/**
 * A small catalog in memory that pushes, deletes and collects in steps, as hub and hosts do, with a clock of its own.
 *
 * Pushes rely on what they find: on the packs of their bases, and on objects of theirs that are there already.
 */
import { createHash } from "node:crypto";
import { judgedObjects, packsOfLiving, sweep, type DeadObject, type Ledger } from "../../images/collect.ts";
import { chunkBytes, locationsKey, packKey, sha256Hex, treeKey } from "../../images/format.ts";
import { encodeLocations, placeBytes, writePlace, type PackRef } from "../../images/locations.ts";
import { holdsChunk, readPack } from "../../images/pack-content.ts";
import { eachPlace } from "../../images/pack-rows.ts";
import { openPackWriter, type Moved } from "../../images/pack-writer.ts";
import { readImage, type ImageRef } from "../../images/stored.ts";
import { encodeTree, type TreeEntry } from "../../images/tree.ts";
import { memoryStore } from "../../stores/memory.ts";
import type { ObjectStore } from "../../stores/object-store.ts";
import { fromSeed, random } from "./samples.ts";

export const never = new AbortController().signal;
export const graceMs = 1_000;

interface Push {
  readonly startedAt: number;
  readonly chunks: readonly number[];
  readonly base: ImageRef | null;
  written: { ref: ImageRef; tree: Buffer; locations: Buffer } | null;
  isIn: boolean;
}

const body = (chunk: number): Buffer => fromSeed(chunk, 3_000 + (chunk % 5) * 700);
const nameOf = (chunk: number): Buffer => createHash("sha256").update(body(chunk)).digest();

export function openModel(seed: number) {
  const next = random(seed);
  const pick = (limit: number) => Math.floor(next() * limit);
  const objects = new Map<string, Uint8Array>();
  const bare = memoryStore(objects);
  const versions = new Map<string, ImageRef>();
  const pushes = new Set<Push>();
  const condemned = new Map<string, { bytes: number; at: number; leaving: boolean }>();
  let clock = 0;

  const mayGo = ({ at, leaving }: { at: number; leaving: boolean }, before: string) => leaving || at < Number(before);
  const ledger: Ledger = {
    condemn: async (dead) => {
      for (const { key, bytes } of dead) if (!condemned.has(key)) condemned.set(key, { bytes, at: clock, leaving: false });
    },
    horizon: async () => String(Math.min(clock - graceMs + 1, ...[...pushes].map(({ startedAt }) => startedAt))),
    page: async ({ afterKey, prefix, before }) => {
      const keys = [...condemned.keys()].filter((key) => key.startsWith(prefix) && key > afterKey).toSorted();
      const found = keys.flatMap((key): DeadObject[] => {
        const one = condemned.get(key);
        return one && (before === null || mayGo(one, before)) ? [{ key, bytes: one.bytes }] : [];
      });
      return found.slice(0, 7);
    },
    claim: async (keys, before) =>
      keys.filter((key) => {
        const one = condemned.get(key);
        if (one && mayGo(one, before)) one.leaving = true;
        return one?.leaving === true;
      }),
    spare: async (keys) => {
      for (const key of keys) if (condemned.get(key)?.leaving === false) condemned.delete(key);
    },
    forget: async (keys) => {
      for (const key of keys) condemned.delete(key);
    },
  };

  /** As the gateway grants a write: whoever gets one may count on the object from then on. */
  const granted: ObjectStore = {
    ...bare,
    write: async (key, bytes, sha256, signal) => {
      if (condemned.get(key)?.leaving) throw new Error(`${key} is leaving`);
      condemned.delete(key);
      return bare.write(key, bytes, sha256, signal);
    },
  };

  const living = async () => [...new Map([...versions.values()].map((ref) => [`${ref.digest}/${ref.generation}`, ref])).values()];

  return {
    store: bare,
    objects,
    versions,
    ledger,
    pick,
    living,
    pass: (ms: number) => void (clock += ms),
    beginPush: () => {
      if (pushes.size >= 4) return;
      const base = [...versions.values()][pick(versions.size + 2)] ?? null;
      const first = pick(12);
      // At another moment: two pushes of one bundle begin at one and publish at another.
      clock++;
      pushes.add({ startedAt: clock, chunks: Array.from({ length: 1 + pick(6) }, (_, n) => first + n), base, written: null, isIn: false });
    },
    stepPush: async () => {
      const push = [...pushes][pick(pushes.size)];
      if (!push) return;
      try {
        if (!push.written) push.written = await writePacks(granted, push);
        else if (!push.isIn) {
          const { ref, tree, locations } = push.written;
          await granted.write(treeKey(ref.digest), tree, ref.digest, never);
          await granted.write(locationsKey(ref.digest, ref.generation), locations, sha256Hex(locations), never);
          push.isIn = true;
        } else {
          // What the store has under that name counts, as the hub's own look before it publishes does.
          const stored = await readImage(bare, push.written.ref, never);
          const whole = stored.locations.packs.every(({ sha256 }) => objects.has(packKey(sha256)));
          if (whole && pick(4) > 0) versions.set(`v${pick(6)}`, push.written.ref);
          pushes.delete(push);
        }
      } catch (error) {
        if (!(error instanceof Error && error.message.endsWith("is leaving"))) throw error;
      }
    },
    abandonPush: () => {
      const push = [...pushes][pick(pushes.size)];
      if (push) pushes.delete(push);
    },
    endPushes: () => pushes.clear(),
    deleteVersion: () => {
      const name = [...versions.keys()][pick(versions.size)];
      if (name !== undefined) versions.delete(name);
    },
    mark: () => mark(bare, ledger, living),
    /** `meanwhile` happens between what the sweep does. */
    sweep: (meanwhile: () => Promise<void> = async () => {}) => {
      const between = async <T>(act: () => Promise<T>): Promise<T> => {
        await meanwhile();
        return act();
      };
      const slow: Ledger = {
        ...ledger,
        page: (ask) => between(() => ledger.page(ask)),
        claim: (keys, before) => between(() => ledger.claim(keys, before)),
      };
      const store: ObjectStore = { ...bare, remove: (key) => between(() => bare.remove(key)) };
      return sweep({ store, ledger: slow, living, signal: never });
    },
    condemned,
  };
}
export type Model = ReturnType<typeof openModel>;

export async function mark(store: ObjectStore, ledger: Ledger, living: () => Promise<readonly ImageRef[]>): Promise<void> {
  const refs = await living();
  const packs = await packsOfLiving(store, refs, never);
  for await (const { verdict, ...object } of judgedObjects(store, { refs, packs }, never))
    if (verdict === "dead") await ledger.condemn([object]);
}

/** Two chunks a pack, so that versions share some packs and not others. */
async function writePacks(store: ObjectStore, { chunks, base }: Pick<Push, "chunks" | "base">): Promise<Push["written"]> {
  return writeAfter(store, { chunks, base, perPack: 2 });
}

interface ModelImage {
  readonly chunks: readonly number[];
  /** Its chunks need not be written again. */
  readonly base: ImageRef | null;
  readonly perPack: number;
}

async function writeAfter(store: Pick<ObjectStore, "read" | "write">, { chunks, base, perPack }: ModelImage) {
  const moves = new Map<number, Moved>();
  const known = new Map<string, Moved>();
  if (base)
    eachPlace(await readImage(store, base, never), ({ place, pack, hash }) =>
      known.set(hash.toString("hex"), { pack, offset: place.offset, length: place.length }),
    );
  const fresh: number[] = [];
  for (const chunk of chunks) {
    const at = known.get(nameOf(chunk).toString("hex"));
    if (at) moves.set(chunk, at);
    else fresh.push(chunk);
  }
  for (let n = 0; n < fresh.length; n += perPack) await writePack(store, fresh.slice(n, n + perPack), moves);
  return imageOf(chunks, moves);
}

/** A whole image of these chunks, so many to a pack. */
export async function pushModelImage(store: Pick<ObjectStore, "read" | "write">, image: ModelImage): Promise<ImageRef> {
  const { ref, tree, locations } = await writeAfter(store, image);
  await store.write(treeKey(ref.digest), tree, ref.digest, never);
  await store.write(locationsKey(ref.digest, ref.generation), locations, sha256Hex(locations), never);
  return ref;
}

async function writePack(store: Pick<ObjectStore, "write">, chunks: readonly number[], moves: Map<number, Moved>): Promise<void> {
  const writer = openPackWriter(store, never);
  const places: Array<{ chunk: number; offset: number; length: number }> = [];
  for (const chunk of chunks) places.push({ chunk, ...(await writer.add(body(chunk))) });
  const [pack] = await writer.finish();
  for (const { chunk, offset, length } of places) if (pack) moves.set(chunk, { pack, offset, length });
}

function imageOf(chunks: readonly number[], moves: ReadonlyMap<number, Moved>, generation = 1) {
  const folder: TreeEntry = { kind: "folder", path: "", mode: 0o755, mtimeMs: 0, finderInfo: null };
  const files = chunks.map((chunk, n): TreeEntry => {
    const rows = Buffer.concat([Buffer.alloc(4), nameOf(chunk)]);
    return {
      kind: "file",
      path: `f${String(n).padStart(3, "0")}`,
      mode: 0o644,
      mtimeMs: 0,
      finderInfo: null,
      bytes: body(chunk).byteLength,
      rows,
    };
  });
  const { bytes: tree, digest } = encodeTree({ entries: [folder, ...files] });
  const packs: PackRef[] = [];
  const places = Buffer.alloc(chunks.length * placeBytes);
  chunks.forEach((chunk, row) => {
    const move = moves.get(chunk);
    if (!move) throw new Error(`The chunk ${chunk} has no place.`);
    const known = packs.findIndex(({ sha256 }) => sha256 === move.pack.sha256);
    writePlace(places, row, { pack: known >= 0 ? known : packs.push(move.pack) - 1, offset: move.offset, length: move.length });
  });
  return { ref: { digest, generation }, tree, locations: encodeLocations({ digest, generation, packs, places }) };
}

/** Every chunk of the tree, read from the store and hashed. */
export async function isWhole(store: ObjectStore, ref: ImageRef): Promise<boolean> {
  const image = await readImage(store, ref, never);
  const bodies = new Map<string, Buffer>();
  for (const { sha256 } of image.locations.packs) bodies.set(sha256, await readPack(store, { sha256 }, never));
  let whole = true;
  eachPlace(image, ({ place, pack, plainBytes, hash }) => {
    const held = bodies.get(pack.sha256);
    if (!held || plainBytes > chunkBytes || !holdsChunk(held, { ...place, plainBytes, hash })) whole = false;
  });
  return whole;
}
