/**
 * Which chunks are known, and where they lie: a hash table in shared memory.
 *
 * The workers look only whether a hash is there, to spare themselves the compression; the main thread alone writes. A worker that misses an entry just being written
 * compresses one chunk for nothing, and one that finds all 32 bytes cannot be wrong, so no lock is needed.
 */
import { hashBytes } from "./format.ts";
import { type ChunkPlace } from "./locations.ts";

const words = hashBytes / 4;
/** Above this share of used slots, chains of collisions grow fast. */
const maxLoad = 0.6;

/** The part that workers see: the keys, in a table whose size is a power of two. An empty slot is all zeros, which no chunk hashes to. */
export interface SharedHashes {
  readonly keys: Uint32Array;
}

export interface ChunkIndex {
  /** Share this with the workers; it changes when the table grows. */
  shared(): SharedHashes;
  find(hash: Buffer): ChunkPlace | null;
  /** Answers whether it was new; the first place of a chunk stays. */
  add(hash: Buffer, place: ChunkPlace): boolean;
}

/** Answers the slot of a hash, or where it would stand. */
function slotOf(keys: Uint32Array, hash: Buffer): number {
  const slots = keys.length / words;
  let slot = hash.readUInt32LE(0) & (slots - 1);
  while (!isEmpty(keys, slot) && !equals(keys, slot, hash)) slot = (slot + 1) & (slots - 1);
  return slot;
}

function isEmpty(keys: Uint32Array, slot: number): boolean {
  const at = slot * words;
  for (let n = 0; n < words; n++) if (keys[at + n] !== 0) return false;
  return true;
}

function equals(keys: Uint32Array, slot: number, hash: Buffer): boolean {
  const at = slot * words;
  for (let n = 0; n < words; n++) if (keys[at + n] !== hash.readUInt32LE(n * 4)) return false;
  return true;
}

/** What a worker asks. The slot that was empty when the search ended there may hold another hash by now, so all 32 bytes are compared. */
export function isKnown({ keys }: SharedHashes, hash: Buffer): boolean {
  return equals(keys, slotOf(keys, hash), hash);
}

export function chunkIndex(expected: number): ChunkIndex {
  let keys = emptyKeys(expected);
  let places = new Uint32Array((keys.length / words) * 3);
  let used = 0;

  const put = (hash: Buffer, place: ChunkPlace): boolean => {
    const slot = slotOf(keys, hash);
    if (!isEmpty(keys, slot)) return false;
    places.set([place.pack, place.offset, place.length], slot * 3);
    for (let n = words - 1; n >= 0; n--) keys[slot * words + n] = hash.readUInt32LE(n * 4);
    return true;
  };

  const grow = () => {
    const [oldKeys, oldPlaces] = [keys, places];
    keys = emptyKeys((oldKeys.length / words) * 2 * maxLoad);
    places = new Uint32Array((keys.length / words) * 3);
    const bytes = Buffer.from(oldKeys.buffer);
    for (let slot = 0; slot < oldKeys.length / words; slot++) {
      if (!isEmpty(oldKeys, slot)) put(bytes.subarray(slot * hashBytes, (slot + 1) * hashBytes), placeOf(oldPlaces, slot));
    }
  };

  return {
    shared: () => ({ keys }),
    find: (hash) => {
      const slot = slotOf(keys, hash);
      return isEmpty(keys, slot) ? null : placeOf(places, slot);
    },
    add: (hash, place) => {
      if ((used + 1) * words > keys.length * maxLoad) grow();
      const added = put(hash, place);
      if (added) used++;
      return added;
    },
  };
}

function emptyKeys(expected: number): Uint32Array {
  const slots = 2 ** Math.ceil(Math.log2(Math.max(1024, expected / maxLoad + 1)));
  return new Uint32Array(new SharedArrayBuffer(slots * hashBytes));
}

function placeOf(places: Uint32Array, slot: number): ChunkPlace {
  const [pack = 0, offset = 0, length = 0] = places.subarray(slot * 3, slot * 3 + 3);
  return { pack, offset, length };
}
