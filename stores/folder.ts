/**
 * A folder as a store: on a disk of the hub, or on a file server that it mounts.
 *
 * An object appears by a hard link from a synced temporary file: the link fails where the name exists, so a write is atomic, never replaces, and tells which of two writers won.
 */
import { createHash, randomUUID } from "node:crypto";
import type { Stats } from "node:fs";
import { link, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { FaultError } from "../domain/errors.ts";
import { checksumRefused, endsBefore, objectMissing, storeDenied, storeUnavailable } from "./faults.ts";
import { fileBytes } from "./file-bytes.ts";
import { checkKey, type ByteRange, type ObjectStore, type StoredObject, type WriteOutcome } from "./object-store.ts";

/** Temporary files lie together in a folder of the same file system, under a name that no key can have. */
const temporaryFolder = "~writing";
/** No write takes a day: what is older belongs to a writer that was killed. */
const abandonedMs = 24 * 60 * 60 * 1000;

export function folderStore(root: string): ObjectStore {
  const at = (key: string) => join(root, checkKey(key));
  let begun: Promise<void> | undefined;
  const begin = () =>
    (begun ??= sweep(join(root, temporaryFolder)).catch((error: unknown) => ((begun = undefined), Promise.reject(error))));

  return {
    read: (key, range, signal) => restated(key, () => readRange(key, at(key), range, signal)),
    write: (key, body, sha256, signal) =>
      restated(key, async () => {
        const path = at(key);
        signal.throwIfAborted();
        if (createHash("sha256").update(body).digest("hex") !== sha256) throw checksumRefused(key);
        if ((await sizeOf(path)) !== null) return "present";
        await begin();
        return writeOnce(path, join(root, temporaryFolder, randomUUID()), body, signal);
      }),
    size: (key) => restated(key, () => sizeOf(at(key))),
    list: (prefix) => listBelow(root, prefix),
    remove: (key) => restated(key, () => rm(at(key), { force: true })),
  };
}

async function readRange(key: string, path: string, range: ByteRange | null, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
  signal.throwIfAborted();
  const handle = await open(path, "r");
  try {
    const found = await handle.stat();
    if (!found.isFile()) throw objectMissing(key);
    if (range && range.offsetBytes >= found.size) throw endsBefore(key, range.offsetBytes);
  } catch (error) {
    await handle.close();
    throw error;
  }
  const from = range?.offsetBytes ?? 0;
  return fileBytes(handle, from, range ? from + range.lengthBytes : Infinity, signal);
}

/** Makes the folder of temporary files, and clears it of what was abandoned there. */
async function sweep(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const oldest = Date.now() - abandonedMs;
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    // Its writer, or another sweep, may be quicker.
    const found = await stat(path).catch(() => null);
    if (found && found.mtimeMs < oldest) await rm(path, { force: true });
  }
}

async function writeOnce(path: string, temporary: string, body: Uint8Array, signal: AbortSignal): Promise<WriteOutcome> {
  try {
    const handle = await open(temporary, "wx");
    try {
      await handle.writeFile(body, { signal });
      await handle.datasync();
    } finally {
      await handle.close();
    }
    await mkdir(dirname(path), { recursive: true });
    return await publish(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}

async function publish(temporary: string, path: string): Promise<WriteOutcome> {
  try {
    await link(temporary, path);
  } catch (error) {
    const code = errorCode(error);
    if (code === "EEXIST") return "present";
    // Some file servers know no hard links; there the rename is the atomic step, and two writers of one name write the same bytes.
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "EOPNOTSUPP") throw error;
    await rename(temporary, path);
  }
  await syncFolder(dirname(path));
  return "written";
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const sizeOf = async (path: string): Promise<number | null> => (await fileAt(path))?.size ?? null;

/** Null where there is no file: a folder is none. */
async function fileAt(path: string): Promise<Stats | null> {
  const found = await stat(path, { throwIfNoEntry: false }).catch((error: unknown) => {
    if (isAbsence(error)) return undefined;
    throw error;
  });
  return found?.isFile() ? found : null;
}

async function* listBelow(root: string, prefix: string): AsyncIterable<StoredObject> {
  const top = prefix.slice(0, prefix.lastIndexOf("/") + 1);
  const entries = await restated(prefix, () => readdir(join(root, top), { recursive: true, withFileTypes: true })).catch(
    (error: unknown) => {
      if (error instanceof FaultError && error.fault.code === "store_object_missing") return [];
      throw error;
    },
  );
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const key = path.slice(join(root, "/").length);
    const found = key.startsWith(prefix) && !key.startsWith(temporaryFolder) ? await fileAt(path) : null;
    if (found) yield { key, bytes: found.size, modifiedAt: found.mtime };
  }
}

/** Runs one call on the file system and restates its failure in the words of the port; cancellation passes as it is. */
async function restated<T>(key: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (cause) {
    if (cause instanceof FaultError) throw cause;
    const code = errorCode(cause);
    if (isAbsence(cause) || code === "EISDIR") throw objectMissing(key, cause);
    if (code === "ENOSPC" || code === "EDQUOT") {
      throw new FaultError(
        { code: "no_space", message: `The disk of the folder store is full; ${key} was not written.`, subject: key },
        { cause },
      );
    }
    if (code === "EACCES" || code === "EPERM" || code === "EROFS") throw storeDenied(key, code, cause);
    if (code === undefined || code === "ABORT_ERR") throw cause;
    throw storeUnavailable(key, code, cause);
  }
}

const isAbsence = (error: unknown) => errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR";

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
