/**
 * Locations: where each chunk of a tree lies. Replaceable, with a generation, so that collection can move chunks without touching what an image is.
 *
 * Rows stand in the order of the tree's chunk table, one for one, and say no hashes: the tree has them, and what does not hash to them is refused.
 * The sizes of the packs stand here too, so that a listing of the store tells whether it holds them all.
 */
import { chunkBytes, commonHeadBytes, corrupt, hashBytes, packLimitBytes, readHead, writeHead } from "./format.ts";

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
export const packRowBytes = hashBytes + 4;
const headBytes = hashBytes + 8 + 4 + 4;
/** Where the table of packs begins. */
export const packTableAt = commonHeadBytes + headBytes;
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

export const locationsName = ({ digest, generation }: Pick<Locations, "digest" | "generation">): string =>
  `The locations ${generation} of ${digest}`;

/** Reads how many packs and rows the locations of that tree and generation have; `bytes` may end where the table of packs begins. */
export function readLocationsHead(bytes: Buffer, ref: Pick<Locations, "digest" | "generation">): { packs: number; rows: number } {
  const subject = locationsName(ref);
  const head = readHead(bytes, magic, subject);
  if (head.byteLength < headBytes) throw corrupt(subject, "they are cut");
  if (head.toString("hex", 0, hashBytes) !== ref.digest) throw corrupt(subject, "they belong to another tree");
  if (head.readBigUInt64LE(hashBytes) !== BigInt(ref.generation)) throw corrupt(subject, "they have another generation");
  return { packs: head.readUInt32LE(hashBytes + 8), rows: head.readUInt32LE(hashBytes + 12) };
}

/** The first `count` rows of a table of packs. */
export const packsIn = (table: Buffer, count: number): PackRef[] =>
  Array.from({ length: count }, (_, n) => {
    const at = n * packRowBytes;
    return { sha256: table.toString("hex", at, at + hashBytes), bytes: table.readUInt32LE(at + hashBytes) };
  });

/** The packs of new locations, each numbered when it is first named. */
export function packList(): { readonly packs: PackRef[]; numberOf(pack: PackRef): number } {
  const packs: PackRef[] = [];
  const numbers = new Map<string, number>();
  const numberOf = (pack: PackRef) => {
    const number = numbers.get(pack.sha256) ?? packs.push(pack) - 1;
    numbers.set(pack.sha256, number);
    return number;
  };
  return { packs, numberOf };
}

/** Reads the locations of a tree with `rows` rows; afterwards every place lies inside its pack. */
export function parseLocations(bytes: Buffer, expected: { digest: string; generation: number; rows: number }): Locations {
  const { digest, generation, rows } = expected;
  const subject = locationsName(expected);
  const head = readLocationsHead(bytes, expected);
  if (head.rows !== rows) throw corrupt(subject, "they have another number of chunks than the tree");
  const tableEnd = packTableAt + head.packs * packRowBytes;
  if (bytes.byteLength !== tableEnd + rows * placeBytes) throw corrupt(subject, "they are cut or too long");
  const packs = packsIn(bytes.subarray(packTableAt), head.packs);
  if (packs.some((pack) => pack.bytes > packLimitBytes)) throw corrupt(subject, "they name a pack above the size limit");
  const places = bytes.subarray(tableEnd);
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
