/**
 * What of an archive was fetched already, on this host's disk, while it is unpacked: an attempt after a kill begins with it instead of the store.
 *
 * The one idea: it is only a help. Each range is noted with its checksum after it was written, and one that does not match is fetched again; where the disk has no
 * room for it, or fails, the archive is unpacked without.
 */
import { constants } from "node:fs";
import { mkdir, open, rm, statfs, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { chunkBytes, isZero } from "../format.ts";

export interface Spool {
  /** The range, if it is here and whole. */
  take(number: number, bytes: number): Promise<Uint8Array<ArrayBuffer> | null>;
  keep(number: number, range: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

const archiveName = "archive";
const rangesName = "archive.ranges";

/** Smaller archives are fetched again in a moment. */
const spooledFromBytes = 64 * 1024 * 1024;
const noteBytes = 8;

export interface SpoolPlace {
  readonly folder: string;
  readonly rangeBytes: number;
  readonly archiveBytes: number;
  /** What else the disk must take. */
  readonly otherBytes: number;
}

/** Null where there is none. */
export async function openSpool({ folder, rangeBytes, archiveBytes, otherBytes }: SpoolPlace): Promise<Spool | null> {
  if (archiveBytes < spooledFromBytes) return null;
  try {
    await mkdir(folder, { recursive: true });
    const [archive, ranges] = await Promise.all([openFile(join(folder, archiveName)), openFile(join(folder, rangesName))]);
    const notes = notesIn(await ranges.readFile());
    const { bavail, bsize } = await statfs(folder);
    const missingBytes = archiveBytes - notes.known.size * rangeBytes;
    if (bavail * bsize >= missingBytes + otherBytes) return spoolOf({ archive, ranges, ...notes, rangeBytes });
    await Promise.all([archive.close(), ranges.close()]);
  } catch {
    // A disk that fails here fails the unpacking too, which tells it.
  }
  await removeSpool(folder);
  return null;
}

const openFile = (path: string): Promise<FileHandle> => open(path, constants.O_RDWR | constants.O_CREAT, 0o600);

export const removeSpool = async (folder: string): Promise<void> =>
  void (await Promise.all([archiveName, rangesName].map((name) => rm(join(folder, name), { force: true }))));

interface Notes {
  /** The checksum of each range that was noted, by its number. */
  readonly known: ReadonlyMap<number, number>;
  /** How many notes there are: a range that was fetched again has two, and the last counts. */
  readonly count: number;
}

/** The last note may be cut. */
function notesIn(notes: Buffer): Notes {
  const count = Math.floor(notes.byteLength / noteBytes);
  const at = (n: number): [number, number] => [notes.readUInt32LE(n * noteBytes), notes.readUInt32LE(n * noteBytes + 4)];
  return { known: new Map(Array.from({ length: count }, (_, n) => at(n))), count };
}

function spoolOf({
  archive,
  ranges,
  known,
  count,
  rangeBytes,
}: Notes & { archive: FileHandle; ranges: FileHandle; rangeBytes: number }): Spool {
  let noted = count;
  let works = true;
  return {
    take: async (number, bytes) => {
      const checksum = known.get(number);
      if (checksum === undefined) return null;
      const into = new Uint8Array(bytes);
      try {
        // What was not written, since it is zero, may lie beyond the file's end.
        for (let at = 0, read = 1; at < into.byteLength && read > 0; at += read)
          read = (await archive.read(into, at, into.byteLength - at, number * rangeBytes + at)).bytesRead;
        return crc32(into) === checksum ? into : null;
      } catch {
        return null;
      }
    },
    keep: async (number, range) => {
      if (!works) return;
      const note = Buffer.alloc(noteBytes);
      note.writeUInt32LE(number, 0);
      note.writeUInt32LE(crc32(range), 4);
      try {
        if (!isEmpty(range)) await archive.write(range, 0, range.byteLength, number * rangeBytes);
        await ranges.write(note, 0, noteBytes, noted++ * noteBytes);
      } catch {
        works = false;
      }
    },
    close: async () => void (await Promise.all([archive.close(), ranges.close()])),
  };
}

/** Full disks are mostly zeros, and stay holes here too. */
function isEmpty(range: Uint8Array): boolean {
  for (let at = 0; at < range.byteLength; at += chunkBytes) if (!isZero(range.subarray(at, at + chunkBytes))) return false;
  return true;
}
