/**
 * Brings an archive of the Parallels DevOps service into this host's cache: fetched and unpacked in one stream, by a grant for that one object.
 *
 * The one idea: it is unpacked under a name of its own, since nobody knows its digest before; then it lies among the arriving images like one of ours, and a note
 * under the first name says which one it is, so that a lost answer costs nothing.
 */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { archiveGrantName } from "../../domain/catalog/archive-keys.ts";
import { FaultError } from "../../domain/errors.ts";
import { Sha256 } from "../../domain/ids.ts";
import { onDisk, removeFolder, syncPath } from "../../images/files.ts";
import { inspectBundle } from "../../images/inspect.ts";
import type { PullProgress } from "../../images/pull.ts";
import { unpackArchive } from "../../images/pdpack/unpack.ts";
import type { Unpacked } from "../../domain/catalog/archives.ts";
import type { Wanted, WantedArchive } from "../../workflows/catalog/fetch.ts";
import type { HostContext } from "./context.ts";
import type { Transfer } from "./shared-transfer.ts";
import { storeOf } from "./transfer.ts";

const Note = z.object({
  digest: Sha256,
  logicalBytes: z.number(),
  allocatedBytes: z.number(),
  guestOs: z.string().nullable(),
  vcpus: z.number().nullable(),
  memoryBytes: z.number().nullable(),
});
const noteName = "unpacked.json";

/** Unpacks the archive, or answers what an attempt before this one has unpacked. */
export async function unpackWanted(
  context: HostContext,
  wanted: Wanted & { archive: WantedArchive },
  transfer: Transfer<PullProgress>,
): Promise<Unpacked> {
  const { cache } = context;
  const { archive } = wanted;
  const own = cache.incoming(archive.standIn);
  const done = await readNote(join(own.folder, noteName));
  if (done && ((await cache.has(done.digest)) || (await isThere(cache.incoming(done.digest).tree)))) return done;

  const found = await unpackArchive({
    source: sourceOf(context, archive, transfer),
    // Once its digest is known, that says more.
    md5: archive.measured ? null : archive.md5,
    told: archive,
    targetPath: own.folder,
    signal: transfer.signal,
    onProgress: ({ doneBytes, totalBytes }) => transfer.onProgress({ phase: "fetching", doneBytes, totalBytes, fetchedBytes: doneBytes }),
  });
  if (archive.measured && found.digest !== wanted.digest) {
    await removeFolder(own.folder);
    const message = `${wanted.image} is not what it was when it was first unpacked: the archive ${archive.packKey} has changed.`;
    throw new FaultError({ code: "archive_corrupt", message, subject: wanted.image });
  }
  const { guestOs, vcpus, memoryBytes, allocatedBytes } = await inspectBundle(own.bundle);
  const unpacked = { digest: found.digest, logicalBytes: found.logicalBytes, allocatedBytes, guestOs, vcpus, memoryBytes };
  await moveOver(own.folder, cache.incoming(found.digest).folder);
  await onDisk(own.folder, async () => {
    await mkdir(own.folder, { recursive: true });
    await writeFile(join(own.folder, noteName), JSON.stringify(unpacked), { flush: true });
    await syncPath(own.folder);
  });
  return unpacked;
}

/** Whole, so what lies there already has the same content or is an unfinished pull of it. */
async function moveOver(from: string, to: string): Promise<void> {
  await removeFolder(to);
  await onDisk(to, () => rename(from, to));
}

function sourceOf({ link }: HostContext, { packKey, packBytes }: WantedArchive, transfer: Transfer<PullProgress>) {
  const store = storeOf(link, transfer);
  const name = archiveGrantName(packKey);
  return {
    name: packKey,
    bytes: packBytes,
    read: (range: Parameters<typeof store.read>[1], signal: AbortSignal) => store.read(name, range, signal),
  };
}

const isThere = (path: string): Promise<boolean> =>
  readFile(path).then(
    () => true,
    () => false,
  );

async function readNote(path: string): Promise<Unpacked | null> {
  try {
    return Note.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return null; // None yet, or one that a kill cut short.
  }
}
