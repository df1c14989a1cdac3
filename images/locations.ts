/**
 * Locations: where each chunk of a tree lies. Replaceable, with a generation, so that collection can move chunks without touching what an image is.
 *
 * Rows stand in the order of the tree's chunk table, one for one, and say no hashes: the tree has them, and what does not hash to them is refused.
 * The sizes of the packs stand here too, so that a listing of the store tells whether it holds them all.
 */
import { corrupt, hashBytes, packLimitBytes, readHead, writeHead, chunkBytes } from "./format.ts";

export interface PackRef {
  readonly sha256: string;
  readonly bytes: number;
}

/** Of one row: which pack, where in it, how long there (as long as the plain chunk: stored as it is, not compressed). */
export interface ChunkPlace {
  readonly pack: number;
  readonly offset: number;
  readonly length: number;
}

export interface Locations {
  readonly digest: string;
  readonly generation: number;
  readonly packs: readonly PackRef[];
  /** `placeBytes` per row of the tree. */
  readonly places: Buffer;
}

const magic = "DRVRLOCS";
const packRowBytes = hashBytes + 4;
const headBytes = hashBytes + 8 + 4 + 4;
export const placeBytes = 12;
/** A third of the tree's limit: 12 bytes here for 36 there, and the packs. */
export const locationsLimitBytes = 512 << 20;

export const placeCount = (places: Buffer): number => places.byteLength / placeBytes;

export function placeAt(places: Buffer, row: number): ChunkPlace {
  const at = row * placeBytes;
  return { pack: places.readUInt32LE(at), offset: places.readUInt32LE(at + 4), length: places.readUInt32LE(at + 8) };
}

/** Orders places by pack and offset: a pack's limit has 26 bits, and 26 more for its number stay exact. */
export const placeOrder = ({ pack, offset }: Pick<ChunkPlace, "pack" | "offset">): number => pack * 2 * packLimitBytes + offset;

export function writePlace(places: Buffer, row: number, place: ChunkPlace): void {
  const at = row * placeBytes;
  places.writeUInt32LE(place.pack, at);
  places.writeUInt32LE(place.offset, at + 4);
  places.writeUInt32LE(place.length, at + 8);
}

export function encodeLocations({ digest, generation, packs, places }: Locations): Buffer {
  const head = Buffer.alloc(headBytes);
  head.write(digest, 0, hashBytes, "hex");
  head.writeBigUInt64LE(BigInt(generation), hashBytes);
  head.writeUInt32LE(packs.length, hashBytes + 8);
  head.writeUInt32LE(placeCount(places), hashBytes + 12);
  const table = Buffer.alloc(packs.length * packRowBytes);
  packs.forEach((pack, n) => {
    table.write(pack.sha256, n * packRowBytes, hashBytes, "hex");
    table.writeUInt32LE(pack.bytes, n * packRowBytes + hashBytes);
  });
  return Buffer.concat([writeHead(magic), head, table, places]);
}

/** Reads the locations of a tree with `rows` rows; afterwards every place lies inside its pack. */
export function parseLocations(bytes: Buffer, expected: { digest: string; generation: number; rows: number }): Locations {
  const { digest, generation, rows } = expected;
  const subject = `The locations ${generation} of ${digest}`;
  const body = readHead(bytes, magic, subject);
  if (body.byteLength < headBytes) throw corrupt(subject, "they are cut");
  if (body.toString("hex", 0, hashBytes) !== digest) throw corrupt(subject, "they belong to another tree");
  if (body.readBigUInt64LE(hashBytes) !== BigInt(generation)) throw corrupt(subject, "they have another generation");
  const packCount = body.readUInt32LE(hashBytes + 8);
  if (body.readUInt32LE(hashBytes + 12) !== rows) throw corrupt(subject, "they have another number of chunks than the tree");
  const tableEnd = headBytes + packCount * packRowBytes;
  if (body.byteLength !== tableEnd + rows * placeBytes) throw corrupt(subject, "they are cut or too long");
  const packs = Array.from({ length: packCount }, (_, n): PackRef => {
    const at = headBytes + n * packRowBytes;
    return { sha256: body.toString("hex", at, at + hashBytes), bytes: body.readUInt32LE(at + hashBytes) };
  });
  if (packs.some((pack) => pack.bytes > packLimitBytes)) throw corrupt(subject, "they name a pack above the size limit");
  const places = body.subarray(tableEnd);
  checkPlaces(places, packs, subject);
  return { digest, generation, packs, places };
}

function checkPlaces(places: Buffer, packs: readonly PackRef[], subject: string): void {
  for (let row = 0; row < placeCount(places); row++) {
    const { pack, offset, length } = placeAt(places, row);
    const size = packs[pack]?.bytes ?? 0;
    if (length === 0 || length > chunkBytes || offset + length > size) throw corrupt(subject, "a chunk lies outside its pack");
  }
}
