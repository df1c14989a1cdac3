/**
 * Images that somebody pinned by hand: they stay in a cache until they are unpinned, used or not.
 *
 * A pin is an empty file beside the images, not in them: so it is there before the image is, and holds for the next fetch of it too.
 */
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isAbsent, onDisk, syncPath } from "./files.ts";

export interface HandPins {
  pin(digest: string): Promise<void>;
  unpin(digest: string): Promise<void>;
  pinned(): Promise<ReadonlySet<string>>;
}

const pinsName = ".pins";

export function openHandPins(root: string): HandPins {
  const folder = join(root, pinsName);
  return {
    pin: (digest) =>
      onDisk(folder, async () => {
        await mkdir(folder, { recursive: true });
        await writeFile(join(folder, digest), "");
        await syncPath(folder);
      }),
    unpin: (digest) => onDisk(folder, () => rm(join(folder, digest), { force: true })),
    pinned: () =>
      onDisk(folder, async () => new Set(await readdir(folder).catch((error: unknown) => (isAbsent(error) ? [] : Promise.reject(error))))),
  };
}
