/**
 * Which operations count on which cached images, beyond the life of this process.
 *
 * A use is an empty file beside the images, named after both: so it outlives a restart of the host worker, and ends only when somebody who knows says that its
 * operation has.
 */
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isAbsent, onDisk } from "./files.ts";

export interface CacheUses {
  isUsed(digest: string): boolean;
  /** Operations that use anything, as far as nobody said that they ended. */
  operations(): string[];
  /** It counts from the call on, and is on the disk when it is done. */
  begin(operationId: string, digest: string): Promise<void>;
  end(operationId: string): Promise<void>;
}

const usesName = ".uses";
const form = /^([0-9a-f-]{36})\.([0-9a-f]{64})$/;

export async function openUses(root: string): Promise<CacheUses> {
  const folder = join(root, usesName);
  const used = new Map<string, Set<string>>();
  const note = (operationId: string, digest: string) => used.set(operationId, (used.get(operationId) ?? new Set()).add(digest));
  const names = await onDisk(folder, () => readdir(folder).catch((error: unknown) => (isAbsent(error) ? [] : Promise.reject(error))));
  for (const name of names) {
    const [, operationId, digest] = form.exec(name) ?? [];
    if (operationId !== undefined && digest !== undefined) note(operationId, digest);
  }
  const fileOf = (operationId: string, digest: string) => join(folder, `${operationId}.${digest}`);
  return {
    isUsed: (digest) => [...used.values()].some((digests) => digests.has(digest)),
    operations: () => [...used.keys()],
    begin: async (operationId, digest) => {
      note(operationId, digest);
      await onDisk(folder, async () => {
        await mkdir(folder, { recursive: true });
        await writeFile(fileOf(operationId, digest), "");
      });
    },
    end: async (operationId) => {
      const digests = used.get(operationId) ?? new Set();
      await onDisk(folder, async () => {
        for (const digest of digests) await rm(fileOf(operationId, digest), { force: true });
      });
      used.delete(operationId);
    },
  };
}
