/**
 * Seeds: images that this host has already, from which a pull starts.
 *
 * A seed can only save work, never spoil it: of a file whose seal holds the chunks are known, any other is hashed after it was cloned, and a seed that is gone is no seed.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { imagePaths } from "./layout.ts";
import { alike } from "./rows.ts";
import { intactPaths, parseSeal } from "./seal.ts";
import { parseTree, treeFiles, type FileEntry } from "./tree.ts";

export interface Seed {
  readonly digest: string;
  /** The folder of the cached image: its bundle, tree and seal. */
  readonly path: string;
}

export interface SeedFile {
  readonly path: string;
  readonly rows: Buffer;
  /** Whether its rows may be trusted unread. */
  readonly sealed: boolean;
}

/** Per path, the file of each seed. */
export type SeedFiles = ReadonlyMap<string, readonly SeedFile[]>;

export async function openSeeds(seeds: readonly Seed[]): Promise<SeedFiles> {
  const files = new Map<string, SeedFile[]>();
  for (const seed of seeds) {
    for (const [path, file] of await filesOf(seed)) files.set(path, [...(files.get(path) ?? []), file]);
  }
  return files;
}

async function filesOf({ digest, path }: Seed): Promise<[string, SeedFile][]> {
  const paths = imagePaths(path);
  try {
    const tree = parseTree(await readFile(paths.tree), digest);
    const seal = parseSeal(await readFile(paths.seal, "utf8"));
    const intact = seal ? await intactPaths(paths.bundle, seal) : new Set<string>();
    return treeFiles(tree).map((file) => [
      file.path,
      { path: join(paths.bundle, file.path), rows: file.rows, sealed: intact.has(file.path) },
    ]);
  } catch {
    return []; // Evicted meanwhile, or damaged: the pull fetches what it would have given.
  }
}

/** The seed's file that saves most, or `null` when none saves anything. */
export function nearest(file: FileEntry, seeds: SeedFiles): SeedFile | null {
  let best: { file: SeedFile; rows: number } | null = null;
  for (const candidate of seeds.get(file.path) ?? []) {
    const rows = alike(candidate.rows, file.rows);
    if (rows > (best?.rows ?? 0)) best = { file: candidate, rows };
  }
  return best?.file ?? null;
}
