/**
 * Content for disks on computers that cannot make a file system.
 *
 * The one idea: the bytes follow from a seed alone, half of them compressible, so results can be compared between runs and computers.
 */
import { createHash } from "node:crypto";
import { clusterBytes } from "../hds.ts";

const blockBytes = 4096;

/** One cluster of content: random-looking blocks and blocks of text in turn. */
export function patternCluster(seed: string, cluster: number): Buffer {
  const bytes = Buffer.alloc(clusterBytes);
  for (let block = 0; block * blockBytes < clusterBytes; block += 1) {
    const into = bytes.subarray(block * blockBytes, (block + 1) * blockBytes);
    const name = `${seed}/${cluster}/${block}`;
    if (block % 2 === 0) createHash("shake256", { outputLength: blockBytes }).update(name).digest().copy(into);
    else into.fill(`${name} `);
  }
  return bytes;
}

/** The clusters of a disk that a pattern of so many bytes fills, spread over the disk as a file system would. */
export function patternClusters(diskClusters: number, bytes: number): number[] {
  const count = Math.min(diskClusters, Math.ceil(bytes / clusterBytes));
  return Array.from({ length: count }, (_, index) => Math.floor((index * diskClusters) / count));
}
