/**
 * What a change of files weighs, by a measure that is not the engine's: the clusters of 1 MiB that differ, each compressed by itself.
 */
import { createHash } from "node:crypto";
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { constants, zstdCompressSync } from "node:zlib";
import { clusterBytes } from "../parallels/hds.ts";

/** The hashes of all clusters of all files below a folder. */
export type Clusters = ReadonlySet<string>;

export async function clustersOf(folder: string): Promise<Clusters> {
  const found = new Set<string>();
  await eachCluster(folder, (_, hash) => void found.add(hash));
  return found;
}

export async function changedSince(before: Clusters, folder: string): Promise<{ bytes: number; packedBytes: number }> {
  let [bytes, packedBytes] = [0, 0];
  await eachCluster(folder, (cluster, hash) => {
    if (before.has(hash)) return;
    bytes += cluster.byteLength;
    packedBytes += zstdCompressSync(cluster, { params: { [constants.ZSTD_c_compressionLevel]: 3 } }).byteLength;
  });
  return { bytes, packedBytes };
}

async function eachCluster(folder: string, tell: (cluster: Buffer, hash: string) => void): Promise<void> {
  const room = Buffer.alloc(clusterBytes);
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = await open(join(entry.parentPath, entry.name));
    try {
      for (let at = 0; ; at += clusterBytes) {
        const { bytesRead } = await file.read(room, 0, clusterBytes, at);
        if (bytesRead === 0) break;
        const cluster = room.subarray(0, bytesRead);
        tell(cluster, createHash("sha256").update(cluster).digest("hex"));
      }
    } finally {
      await file.close();
    }
  }
}
