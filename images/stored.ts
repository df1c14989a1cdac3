/**
 * Trees and locations as a store holds them: read, checked, and tried once more when their bytes are wrong.
 *
 * The second try tells a flipped bit on the way from one at rest: only what is wrong twice is called corrupt.
 */
import { FaultError } from "../domain/errors.ts";
import { readAll, type ObjectStore } from "../stores/object-store.ts";
import { corrupt, locationsKey, packFolder, packKey, treeKey } from "./format.ts";
import { forEachLimited } from "./limited.ts";
import { locationsLimitBytes, parseLocations, type Locations, type PackRef } from "./locations.ts";
import { parseTree, rowCount, treeFiles, treeLimitBytes, type Tree } from "./tree.ts";

/** An image in a store: the digest says what, the generation says where. */
export interface ImageRef {
  readonly digest: string;
  readonly generation: number;
}

export interface StoredImage {
  readonly tree: Tree;
  readonly treeBytes: Buffer;
  readonly locations: Locations;
}

/** Eight questions at once hide the way to a distant store, and no store counts them as a flood. */
const asksAtOnce = 8;

export async function readImage(store: Pick<ObjectStore, "read">, ref: ImageRef, signal: AbortSignal): Promise<StoredImage> {
  const { tree, treeBytes } = await readTree(store, ref.digest, signal);
  const rows = treeRows(tree);
  const key = locationsKey(ref.digest, ref.generation);
  const locations = await twice(async () => parseLocations(await fetch(store, key, locationsLimitBytes, signal), { ...ref, rows }));
  return { tree, treeBytes, locations };
}

export async function readTree(
  store: Pick<ObjectStore, "read">,
  digest: string,
  signal: AbortSignal,
): Promise<{ tree: Tree; treeBytes: Buffer }> {
  return twice(async () => {
    const treeBytes = await fetch(store, treeKey(digest), treeLimitBytes, signal);
    return { treeBytes, tree: parseTree(treeBytes, digest) };
  });
}

export const treeRows = (tree: Tree): number => treeFiles(tree).reduce((sum, file) => sum + rowCount(file.rows), 0);

/**
 * Compares the packs that the locations name with the store's own listing: each is there, with its size. A listing costs one answer per
 * thousand packs instead of one per pack.
 */
export async function checkPacks(store: Pick<ObjectStore, "list">, { packs }: Locations): Promise<void> {
  const folders = Map.groupBy(packs, ({ sha256 }) => packFolder(sha256));
  // Folder by folder, and only what is looked for is kept: so memory is bounded by the image, however much the store holds.
  await forEachLimited(folders, asksAtOnce, async ([folder, wanted]) => {
    const missing = new Map(wanted.map((pack) => [packKey(pack.sha256), pack]));
    for await (const { key, bytes } of store.list(folder)) {
      const pack = missing.get(key);
      if (pack) checkSize(pack, bytes);
      missing.delete(key);
    }
    for (const pack of missing.values()) checkSize(pack, null);
  });
}

function checkSize({ sha256, bytes }: PackRef, found: number | null): void {
  if (found === null) throw missingPack(sha256);
  if (found !== bytes) throw corrupt(`The pack ${sha256}`, `the store has ${found} bytes of it, not ${bytes}`);
}

export function missingPack(sha256: string, cause?: unknown): FaultError {
  return new FaultError(
    { code: "store_object_missing", message: `The store does not hold the pack ${sha256}.`, subject: sha256 },
    { cause },
  );
}

async function fetch(store: Pick<ObjectStore, "read">, key: string, limitBytes: number, signal: AbortSignal): Promise<Buffer> {
  return readAll(await store.read(key, null, signal), key, limitBytes);
}

export async function twice<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof FaultError) || error.fault.code !== "content_corrupt") throw error;
    return read();
  }
}
