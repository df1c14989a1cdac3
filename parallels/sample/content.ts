/**
 * Real files for a sample disk, gathered from the computer up to a number of bytes.
 *
 * The one idea: folders are read in sorted order and every file is linked, not copied, so the same computer gives the same content at little cost.
 */
import { copyFile, link, mkdir, readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Many small files cost more time than their bytes are worth in a sample. */
const mostFiles = 20_000;

export interface Gathered {
  readonly files: number;
  readonly bytes: number;
}

/** Fills `folder` with files found below `sources`, until there are `bytes` of them. */
export async function gatherFiles(folder: string, sources: readonly string[], bytes: number): Promise<Gathered> {
  const gathered = { files: 0, bytes: 0 };
  const isFull = () => gathered.bytes >= bytes || gathered.files >= mostFiles;

  async function gather(from: string, to: string): Promise<void> {
    const entries = await readdir(from, { withFileTypes: true }).catch(() => []);
    for (const entry of entries.toSorted((one, other) => (one.name < other.name ? -1 : 1))) {
      if (isFull()) return;
      if (entry.isDirectory()) await gather(join(from, entry.name), join(to, entry.name));
      else if (entry.isFile()) await take(join(from, entry.name), join(to, entry.name));
    }
  }

  async function take(from: string, to: string): Promise<void> {
    const size = await stat(from).then(
      (found) => found.size,
      () => null,
    );
    if (size === null || gathered.bytes + size > bytes) return;
    await mkdir(dirname(to), { recursive: true });
    // A link needs the same file system and, on Linux, one's own file; a file that cannot be read is left out.
    const taken = await link(from, to)
      .catch(() => copyFile(from, to))
      .then(
        () => true,
        () => false,
      );
    if (!taken) return;
    gathered.files += 1;
    gathered.bytes += size;
  }

  for (const [index, source] of sources.entries()) await gather(source, join(folder, `source-${index}`));
  return gathered;
}
