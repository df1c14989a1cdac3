/**
 * Compares a folder with a tree, and says everything that differs.
 *
 * A quick look trusts files whose seal holds; a full one reads every byte, which is what a scrub is for.
 */
import { chunkFiles } from "./chunk-files.ts";
import { openChunkPool } from "./chunk-pool.ts";
import { compareRows } from "./rows.ts";
import { scanFolder, type ScannedEntry } from "./scan.ts";
import { intactPaths, type Seal } from "./seal.ts";
import { treeFiles, type Tree, type TreeEntry } from "./tree.ts";

export interface Mismatch {
  readonly path: string;
  readonly problem: "missing" | "unexpected" | "kind" | "size" | "mode" | "target" | "content";
}

export interface VerifyAsk {
  readonly path: string;
  readonly tree: Tree;
  /** Read everything, whatever the seal says. */
  readonly full: boolean;
  readonly seal: Seal | null;
  readonly signal: AbortSignal;
  readonly threads?: number;
}

export async function verifyFolder(ask: VerifyAsk): Promise<Mismatch[]> {
  const { entries, refusals } = await scanFolder(ask.path);
  const found = new Map(entries.map((entry) => [entry.path, entry]));
  const mismatches: Mismatch[] = refusals.map(({ subject = "" }) => ({ path: subject, problem: "unexpected" }));
  for (const entry of ask.tree.entries) {
    const problem = compareEntry(entry, found.get(entry.path));
    if (problem) mismatches.push({ path: entry.path, problem });
    found.delete(entry.path);
  }
  for (const path of found.keys()) mismatches.push({ path, problem: "unexpected" });
  return [...mismatches, ...(await compareContent(ask, new Set(mismatches.map(({ path }) => path))))];
}

function compareEntry(wanted: TreeEntry, found: ScannedEntry | undefined): Mismatch["problem"] | null {
  if (!found) return "missing";
  if (found.kind !== wanted.kind) return "kind";
  if (wanted.kind === "file" && found.bytes !== wanted.bytes) return "size";
  if (wanted.kind === "link") return found.target === wanted.target ? null : "target";
  return found.mode === wanted.mode ? null : "mode";
}

async function compareContent(
  { path: root, tree, full, seal, signal, threads }: VerifyAsk,
  known: ReadonlySet<string>,
): Promise<Mismatch[]> {
  const trusted = full || !seal ? new Set<string>() : await intactPaths(root, seal);
  const files = treeFiles(tree).filter(({ path }) => !known.has(path) && !trusted.has(path));
  if (files.length === 0) return [];
  const pool = openChunkPool(threads);
  try {
    const rows = await chunkFiles({ root, files, pool, compress: false, signal });
    const differs = files.filter((file) => {
      const { missing, excess } = compareRows(rows.get(file.path) ?? Buffer.alloc(0), file.rows);
      return missing.length + excess.length > 0;
    });
    return differs.map(({ path }) => ({ path, problem: "content" }));
  } finally {
    await pool.close();
  }
}
