/**
 * Copies of bundles: shared with the original where the file system can, else file by file with the holes kept.
 *
 * The one idea: the copy grows under a hidden name and becomes visible by one rename.
 */
import { constants } from "node:fs";
import { copyFile, lstat, mkdir, open, readdir, readlink, symlink } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isZero } from "../bundle/raw-disk.ts";
import { clusterBytes } from "../hds.ts";

export interface CopyOptions {
  readonly bytesPerSecond: number | null;
  readonly onProgress: (share: number) => void;
  /** Names at the top of the folder that are not taken along. */
  readonly leaveOut?: (name: string) => boolean;
}

export async function copyFolder(
  from: string,
  to: string,
  { bytesPerSecond, onProgress, leaveOut = () => false }: CopyOptions,
): Promise<void> {
  const files = await entriesOf(from, leaveOut);
  const totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0) || 1;
  let doneBytes = 0;
  const startedMs = performance.now();
  const advance = async (bytes: number) => {
    doneBytes += bytes;
    onProgress(doneBytes / totalBytes);
    if (bytesPerSecond !== null) await sleep(Math.max(0, (doneBytes / bytesPerSecond) * 1000 - (performance.now() - startedMs)));
  };

  await mkdir(to);
  for (const { path, kind, bytes } of files) {
    if (kind === "folder") await mkdir(join(to, path));
    else if (kind === "link") await symlink(await readlink(join(from, path)), join(to, path));
    else if (bytesPerSecond === null && (await isShared(join(from, path), join(to, path)))) await advance(bytes);
    else await copySparse(join(from, path), join(to, path), advance);
  }
}

interface Entry {
  readonly path: string;
  readonly kind: "file" | "folder" | "link";
  readonly bytes: number;
}

async function entriesOf(folder: string, leaveOut: (name: string) => boolean): Promise<Entry[]> {
  const names = (await readdir(folder, { recursive: true })).filter((path) => !leaveOut(path)).toSorted();
  return Promise.all(
    names.map(async (path): Promise<Entry> => {
      const found = await lstat(join(folder, path));
      if (found.isDirectory()) return { path, kind: "folder", bytes: 0 };
      return found.isSymbolicLink() ? { path, kind: "link", bytes: 0 } : { path, kind: "file", bytes: found.size };
    }),
  );
}

async function isShared(from: string, to: string): Promise<boolean> {
  return copyFile(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL).then(
    () => true,
    () => false,
  );
}

/** Also copies one disk image for a snapshot. */
export async function copySparse(from: string, to: string, advance: (bytes: number) => Promise<void> = async () => {}): Promise<void> {
  const source = await open(from, "r");
  const target = await open(to, "w");
  const buffer = Buffer.alloc(clusterBytes);
  try {
    const { size, mode } = await source.stat();
    for (let offset = 0; offset < size; offset += buffer.length) {
      const { bytesRead } = await source.read(buffer, 0, buffer.length, offset);
      const bytes = buffer.subarray(0, bytesRead);
      if (!isZero(bytes)) await target.write(bytes, 0, bytesRead, offset);
      await advance(bytesRead);
    }
    await target.truncate(size);
    await target.chmod(mode & 0o777);
  } finally {
    await Promise.all([source.close(), target.close()]);
  }
}
