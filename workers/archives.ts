/**
 * How the hub reaches catalogs of the Parallels DevOps service: what a store holds of them, and where large objects are written.
 *
 * The one idea: the same rows and sealed secrets as for every store; only what is looked at, or written, is another's.
 */
import type { KeptArchive } from "../api/ports.ts";
import type { Database } from "../db/connect.ts";
import { archivedGeneration, findArchive } from "../db/archives.ts";
import { findExport } from "../db/exports.ts";
import { findImage } from "../db/images.ts";
import { findStore, sealedCredentials } from "../db/stores.ts";
import type { StoredArchive } from "../domain/catalog/archives.ts";
import { mayWriteTo } from "../domain/catalog/publishing.ts";
import { StoreCredentials } from "../domain/catalog/store-credentials.ts";
import { parseStoreLocation } from "../domain/catalog/store-location.ts";
import { imageName } from "../domain/catalog/rules.ts";
import type { ImageVersion } from "../domain/catalog/schema.ts";
import { FaultError, ok, unwrap, type Result } from "../domain/errors.ts";
import { credentialsContext, openStores } from "../gateway/stores.ts";
import { listCatalog, type FoundManifest } from "../images/pdpack/catalog.ts";
import { manifestKeyOf, writeManifest } from "../images/pdpack/manifest.ts";
import { archiveBytes } from "../images/pdpack/pack.ts";
import { storedFiles } from "../images/pdpack/stored-files.ts";
import { readImage } from "../images/stored.ts";
import type { Sealer } from "../security/sealing.ts";
import { openLargeObjects, type LargeObjects } from "../stores/large-objects.ts";
import { readAll, type ObjectStore } from "../stores/object-store.ts";
import { storePorts } from "./stores.ts";

interface Keeper {
  readonly db: Database;
  readonly sealer: Sealer;
}

export async function openLarge({ db, sealer }: Keeper, storeId: string): Promise<LargeObjects> {
  const { location } = unwrap(mayWriteTo(unwrap(await findStore(db, storeId))));
  const sealed = await sealedCredentials(db, storeId);
  const credentials = sealed && StoreCredentials.parse(await sealer.open(sealed, credentialsContext(storeId)));
  return openLargeObjects(unwrap(parseStoreLocation(location)), credentials);
}

/** A thousand manifests of a distant store are read in half a minute; a caller who waits longer asks the store itself. */
const listLimitMs = 60_000;

/** What a store (id or name) holds of that service, by catalog id, version and architecture. */
export async function listArchives({ db, sealer }: Keeper, idOrName: string, project: string): Promise<Result<StoredArchive[]>> {
  const store = await findStore(db, idOrName);
  if (!store.ok) return store;
  const opened = await openStores({ db, sealer, ports: storePorts }).open(store.value.id);
  const found = await listCatalog(opened, AbortSignal.timeout(listLimitMs));
  const shown = await Promise.all(found.map((manifest) => shownAs(db, project, manifest)));
  return ok(shown.toSorted((a, b) => nameOf(a).localeCompare(nameOf(b), "en", { numeric: true })));
}

const nameOf = ({ catalogId, version, architecture, manifestKey }: StoredArchive): string =>
  [catalogId ?? "", version ?? "", architecture ?? "", manifestKey].join("/");

async function shownAs(db: Database, project: string, { manifestKey, image, packBytes, fault }: FoundManifest): Promise<StoredArchive> {
  const missing = image && packBytes === null ? `Its archive ${image.packKey} is not there.` : null;
  const known = image && (await findImage(db, project, image)).ok;
  return {
    manifestKey,
    catalogId: image?.catalogId ?? null,
    version: image?.version ?? null,
    architecture: image?.architecture ?? null,
    kind: image?.kind ?? null,
    logicalBytes: image?.logicalBytes ?? null,
    packBytes,
    tags: [...(image?.tags ?? [])],
    imported: known === true,
    problem: fault?.message ?? missing,
  };
}

export interface Archive {
  /** Null: it is made on the way, and nobody knows. */
  readonly bytes: number | null;
  readonly content: AsyncIterable<Uint8Array>;
}

/** An image as one file: the archive that it lies in, or one made of its chunks on the way, each of them verified. */
export async function archiveOf(
  { db, sealer }: Keeper,
  image: ImageVersion,
  { compress, signal }: { compress: boolean; signal: AbortSignal },
): Promise<Archive> {
  const stores = openStores({ db, sealer, ports: storePorts });
  const lying = image.generation === archivedGeneration ? await findArchive(db, image.id) : null;
  if (lying) {
    const store = await stores.open(lying.storeId);
    return { bytes: lying.packBytes, content: await store.read(lying.packKey, null, signal) };
  }
  const store = await stores.open(image.storeId);
  const stored = await readImage(store, image, signal);
  const link = stored.tree.entries.find(({ kind }) => kind === "link");
  if (link) {
    const message = `The image ${imageName(image)} cannot be made an archive: "${link.path}" is a link, which such archives do not keep.`;
    throw new FaultError({ code: "archive_invalid", message, subject: imageName(image) });
  }
  return { bytes: null, content: archiveBytes(storedFiles(store, stored, signal), compress) };
}

/** An image as it lies in a store for the Parallels DevOps service: where that service wrote it, or where it was exported to. Null: nowhere. */
export async function keptArchive({ db, sealer }: Keeper, image: ImageVersion): Promise<KeptArchive | null> {
  const lying = image.generation === archivedGeneration ? await findArchive(db, image.id) : await findExport(db, image);
  if (!lying) return null;
  const { packKey, packBytes, md5 } = lying;
  const store = await openStores({ db, sealer, ports: storePorts }).open(lying.storeId);
  return {
    packBytes,
    md5,
    isThere: async () => (await store.size(packKey)) === packBytes,
    read: (range, signal) => store.read(packKey, range, signal),
    manifest: async (signal) => (await storedManifest(store, image, signal)) ?? madeManifest(image, { packBytes, md5 }),
  };
}

/** It lists each file of a bundle, in some hundred bytes. */
const mostManifestBytes = 32 * 1024 * 1024;

async function storedManifest(store: ObjectStore, image: ImageVersion, signal: AbortSignal): Promise<Buffer | null> {
  const key = manifestKeyOf(image);
  return (await store.size(key)) === null ? null : readAll(await store.read(key, null, signal), key, mostManifestBytes);
}

/** For an archive without one. The same each time while the image stays as it is: it is read in parts. */
function madeManifest(image: ImageVersion, { packBytes, md5 }: Pick<KeptArchive, "packBytes" | "md5">): Buffer {
  const { id, createdAt, updatedAt: writtenAt } = image;
  return writeManifest(image, { id, compressed: true, packBytes, md5: md5 ?? "", contents: [], createdAt, writtenAt });
}
