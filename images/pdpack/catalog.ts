/**
 * A catalog of the Parallels DevOps service, as it lies in a store: one manifest per version, its archive beside it, no list anywhere.
 *
 * The one idea: what lies there is the list. A manifest that cannot be read is told with its reason, and keeps no other from being found.
 */
import type { Fault } from "../../domain/errors.ts";
import { FaultError, refuse, type Result } from "../../domain/errors.ts";
import { readAll, type ObjectStore } from "../../stores/object-store.ts";
import { forEachLimited } from "../limited.ts";
import { archiveName, manifestKeyOf, readManifest, type ArchivedImage } from "./manifest.ts";

export interface FoundManifest {
  readonly manifestKey: string;
  readonly image: ArchivedImage | null;
  /** Null where the manifest names an archive that is not there. */
  readonly packBytes: number | null;
  readonly fault: Fault | null;
}

/** A manifest lists a few files; one of more than this is none. */
const manifestLimitBytes = 16 * 1024 * 1024;
/** Eight questions at once hide the way to a distant store. */
const asksAtOnce = 8;
const manifestForm = /^[^/]+(\/[^/]+)*\.meta$/;

type Reading = Pick<ObjectStore, "read" | "list" | "size">;

/** Every manifest of the store, in no order. Our own objects are passed over. */
export async function listCatalog(store: Reading, signal: AbortSignal): Promise<FoundManifest[]> {
  const manifests: string[] = [];
  const sizes = new Map<string, number>();
  for await (const { key, bytes } of store.list("")) {
    signal.throwIfAborted();
    if (key.startsWith(".drover/")) continue;
    if (manifestForm.test(key)) manifests.push(key);
    else sizes.set(key, bytes);
  }
  const found: FoundManifest[] = [];
  await forEachLimited(manifests, asksAtOnce, async (manifestKey) => {
    const image = await manifestAt(store, manifestKey, signal);
    if (!image.ok) found.push({ manifestKey, image: null, packBytes: null, fault: image.fault });
    else found.push({ manifestKey, image: image.value, packBytes: sizes.get(image.value.packKey) ?? null, fault: null });
  });
  return found;
}

/** The version of that name, with its archive's size; a manifest may lie in another folder than its name says. */
export async function findInCatalog(
  store: Reading,
  key: Parameters<typeof manifestKeyOf>[0],
  signal: AbortSignal,
): Promise<Result<{ image: ArchivedImage; packBytes: number }>> {
  const manifestKey = (await store.size(manifestKeyOf(key))) === null ? await elsewhere(store, key, signal) : manifestKeyOf(key);
  const name = archiveName(key);
  if (manifestKey === null)
    return refuse({ code: "archive_not_found", message: `The store holds no manifest ${name}.meta.`, subject: `${name}.meta` });
  const image = await manifestAt(store, manifestKey, signal);
  if (!image.ok) return image;
  const { catalogId, version, architecture, packKey } = image.value;
  if (catalogId !== key.catalogId || version !== key.version || architecture !== key.architecture)
    return refuse({
      code: "archive_invalid",
      message: `The manifest ${manifestKey} is of ${catalogId}/${version}/${architecture}, not of what its name says.`,
      subject: manifestKey,
    });
  const packBytes = await store.size(packKey);
  if (packBytes !== null) return { ok: true, value: { image: image.value, packBytes } };
  return refuse({
    code: "archive_not_found",
    message: `The manifest ${manifestKey} names ${packKey}, which is not there.`,
    subject: packKey,
  });
}

async function elsewhere(store: Reading, key: Parameters<typeof archiveName>[0], signal: AbortSignal): Promise<string | null> {
  const ending = `/${archiveName(key)}.meta`;
  for await (const { key: at } of store.list("")) {
    signal.throwIfAborted();
    if (at.endsWith(ending)) return at;
  }
  return null;
}

async function manifestAt(store: Reading, key: string, signal: AbortSignal): Promise<Result<ArchivedImage>> {
  try {
    return readManifest(await readAll(await store.read(key, null, signal), key, manifestLimitBytes), key);
  } catch (error) {
    if (!(error instanceof FaultError) || !["content_corrupt", "store_object_missing"].includes(error.fault.code)) throw error;
    return refuse({ code: "archive_invalid", message: `The manifest ${key} cannot be read: ${error.fault.message}`, subject: key });
  }
}
