/**
 * Moves what lives of mostly dead packs into new ones, so that the old ones can go.
 *
 * Nothing is changed in place: new packs, then new locations, and only then is a tree pointed to them. Each chunk is checked before it moves, so that no rot gets a new name.
 */
import { join } from "node:path";
import type { ObjectStore } from "../stores/object-store.ts";
import type { PackRef } from "./locations.ts";
import { hasName, readPack, wrongRows } from "./pack-content.ts";
import { packRows, type PackRow, type RowsOfPack } from "./pack-rows.ts";
import { openPackWriter, type Moved } from "./pack-writer.ts";
import { readPackTable } from "./pack-table.ts";
import { freeGeneration, relocate, type Relocated } from "./relocate.ts";
import type { ImageRef } from "./stored.ts";

/** Below this share of living bytes a pack is worth its rewriting: what is freed is then more than what is written. */
export const mostlyDead = 0.5;
/** Living bytes moved in one run: half a million chunks at most, whose moves take some 100 MB of memory. The next run takes the rest. */
const runBytes = 32 * 1024 ** 3;

export interface RepackPlan {
  readonly packs: readonly PackRef[];
  /** What lives of them and moves, and what is freed once the old packs are gone. */
  readonly movedBytes: number;
  readonly freedBytes: number;
}

export interface RepackAsk {
  readonly store: Pick<ObjectStore, "read" | "write" | "list">;
  readonly living: readonly ImageRef[];
  readonly folder: string;
  /** Packs that are known to be damaged where nothing lives: they are left however much of them lives. */
  readonly damaged?: ReadonlySet<string>;
  /** Points every version of the tree to its new locations. */
  readonly pointTo: (from: ImageRef, to: Relocated) => Promise<void>;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  readonly signal: AbortSignal;
}

type Planning = Pick<RepackAsk, "store" | "living" | "folder" | "signal" | "damaged">;

const rowsOf = ({ store, living, folder, signal }: Planning, name: string, wants: (sha256: string) => boolean) =>
  packRows({
    store,
    refs: living,
    folder: join(folder, name),
    wants,
    signal,
    onBroken: (_, error) => {
      throw error;
    },
  });

export async function planRepack(ask: Planning): Promise<RepackPlan> {
  const packs: PackRef[] = [];
  let [movedBytes, freedBytes] = [0, 0];
  for await (const { sha256, bytes, rows } of rowsOf(ask, "plan", () => true)) {
    const lives = livingBytes(rows);
    if (lives >= bytes * mostlyDead && !ask.damaged?.has(sha256)) continue;
    if (movedBytes + lives > runBytes) break;
    packs.push({ sha256, bytes });
    movedBytes += lives;
    freedBytes += bytes - lives;
  }
  return { packs, movedBytes, freedBytes };
}

/** Several trees may name one chunk of a pack; it is there once. */
function livingBytes(rows: readonly PackRow[]): number {
  let [end, bytes] = [0, 0];
  for (const { offset, length } of rows) {
    bytes += Math.max(0, offset + length - Math.max(end, offset));
    end = Math.max(end, offset + length);
  }
  return bytes;
}

export async function repack(ask: RepackAsk, plan: RepackPlan): Promise<{ trees: number; packs: number; movedBytes: number }> {
  if (plan.packs.length === 0) return { trees: 0, packs: 0, movedBytes: 0 };
  const wanted = new Set(plan.packs.map(({ sha256 }) => sha256));
  const moves = await moveChunks(ask, wanted, plan.movedBytes);
  let trees = 0;
  for (const ref of ask.living) {
    const named = await readPackTable(ask.store, ref, ask.signal);
    if (!named.some(({ sha256 }) => moves.left.has(sha256))) continue;
    const generation = await freeGeneration(ask.store, ref, ask.signal);
    const { store, signal } = ask;
    const leaves = (sha256: string) => moves.left.has(sha256);
    const to = await relocate({ store, ref, generation, leaves, moveOf: moves.moveOf, signal });
    if (!to) continue;
    await ask.pointTo(ref, to);
    trees++;
  }
  return { trees, packs: moves.left.size, movedBytes: moves.bytes };
}

interface Moves {
  readonly left: ReadonlySet<string>;
  readonly bytes: number;
  moveOf(old: { sha256: string; offset: number }): Moved | null;
}

async function moveChunks(ask: RepackAsk, wanted: ReadonlySet<string>, totalBytes: number): Promise<Moves> {
  const { store, signal, onProgress } = ask;
  const writer = openPackWriter(store, signal);
  const left = new Map<string, Map<number, { packNumber: number; offset: number; length: number }>>();
  let bytes = 0;
  for await (const pack of rowsOf(ask, "move", (sha256) => wanted.has(sha256))) {
    signal.throwIfAborted();
    const body = await soundBody(ask, pack);
    if (!body) continue;
    const places = new Map<number, { packNumber: number; offset: number; length: number }>();
    for (const { offset, length } of pack.rows) {
      if (places.has(offset)) continue;
      places.set(offset, await writer.add(body.subarray(offset, offset + length)));
      bytes += length;
    }
    left.set(pack.sha256, places);
    onProgress?.(bytes, totalBytes);
  }
  const packs = await writer.finish();
  return {
    left: new Set(left.keys()),
    bytes,
    moveOf: ({ sha256, offset }) => {
      const place = left.get(sha256)?.get(offset);
      const pack = place && packs[place.packNumber];
      return place && pack ? { pack, offset: place.offset, length: place.length } : null;
    },
  };
}

/** A pack in which a living chunk is wrong stays as it is: moving the others would not mend it, and healing needs its places. */
async function soundBody({ store, signal, damaged }: RepackAsk, { sha256, rows }: RowsOfPack): Promise<Buffer | null> {
  const body = await readPack(store, { sha256 }, signal);
  if (!damaged?.has(sha256) && !(await hasName(body, sha256))) return null;
  return (await wrongRows(body, rows)).length === 0 ? body : null;
}
