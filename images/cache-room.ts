/**
 * Makes room in a host's cache: the least recently used go first, nothing that is used or pinned, and nothing at all when that would not suffice.
 *
 * Two bounds hold at once: what must stay free on the disk, and what the cache may hold. Each eviction is decided in the moment it happens, by whoever
 * knows what is used; so an operation that begins to use an image in between keeps it.
 */
import { statfs } from "node:fs/promises";
import { FaultError } from "../domain/errors.ts";
import type { CachedImage } from "./cache.ts";
import { onDisk } from "./files.ts";

/** What operations use right now. */
export interface Uses {
  isUsed(digest: string): boolean;
  /** Runs `act`, which removes the image, unless it is used; answers whether it ran. Whoever wants the image meanwhile waits until it is gone. */
  unlessUsed(digest: string, act: () => Promise<void>): Promise<boolean>;
}

export interface RoomAsk {
  readonly bytes: number;
  /** Left free on the disk. */
  readonly keepBytes: number;
  /** Most that the cache may hold, what is asked for included; null for all that the disk has. */
  readonly maximumBytes: number | null;
  readonly uses: Uses;
}

interface Parts {
  readonly root: string;
  readonly list: () => Promise<CachedImage[]>;
  readonly remove: (digest: string) => Promise<void>;
}

export async function ensureRoom({ root, list, remove }: Parts, ask: RoomAsk): Promise<string[]> {
  const { bytes, keepBytes, maximumBytes, uses } = ask;
  const cached = maximumBytes === null ? null : await list();
  let heldBytes = (cached ?? []).reduce((sum, image) => sum + image.bytes, 0);
  const lacking = async () =>
    Math.max(bytes + keepBytes - (await freeBytes(root)), maximumBytes === null ? 0 : heldBytes + bytes - maximumBytes);
  const first = await lacking();
  if (first <= 0) return [];
  const candidates = (cached ?? (await list())).filter(({ digest, pinned }) => !pinned && !uses.isUsed(digest)).reverse();
  const possible = candidates.reduce((sum, image) => sum + image.bytes, 0);
  if (possible < first) throw noRoom(root, ask, bytes - (first - possible));
  const evicted: string[] = [];
  for (const image of candidates) {
    if ((await lacking()) <= 0) break;
    if (!(await uses.unlessUsed(image.digest, () => remove(image.digest)))) continue;
    heldBytes -= image.bytes;
    evicted.push(image.digest);
  }
  // Measured again, since images may share blocks: what was evicted can have freed less than its size.
  const last = await lacking();
  if (last > 0) throw noRoom(root, ask, bytes - last);
  return evicted;
}

async function freeBytes(root: string): Promise<number> {
  const { bavail, bsize } = await onDisk(root, () => statfs(root));
  return bavail * bsize;
}

function noRoom(root: string, { bytes, keepBytes, maximumBytes }: RoomAsk, possible: number): FaultError {
  const bound = maximumBytes === null ? "" : `, of the ${maximumBytes} that it may hold`;
  const message = `The cache ${root} has room for ${Math.max(0, possible)} bytes when all unpinned images go${bound}; ${bytes} are needed.`;
  return new FaultError({ code: "no_space", message, subject: root, details: { neededBytes: bytes, possibleBytes: possible, keepBytes } });
}
