/**
 * Between expanding disks and raw images, cluster by cluster.
 *
 * The one idea: a cluster of zeroes is a hole on both sides, so neither direction stores what the guest never wrote.
 */
import { open } from "node:fs/promises";
import { createHds, openHds } from "../hds.ts";

/** Bytes are all zero when the first is and each equals its neighbour; one comparison in native code. */
export const isZero = (bytes: Uint8Array): boolean => bytes[0] === 0 && Buffer.compare(bytes.subarray(1), bytes.subarray(0, -1)) === 0;

/** Writes a new expanding disk with the content of a raw image; answers how many clusters hold data. */
export async function rawToHds(rawPath: string, hdsPath: string): Promise<number> {
  const raw = await open(rawPath, "r");
  try {
    await createHds(hdsPath, (await raw.stat()).size);
    return await copyChanges(raw, hdsPath);
  } finally {
    await raw.close();
  }
}

/** Writes the clusters of a raw image that differ from the disk's, in place; answers how many differed. */
export async function updateHdsFromRaw(rawPath: string, hdsPath: string): Promise<number> {
  const raw = await open(rawPath, "r");
  try {
    return await copyChanges(raw, hdsPath);
  } finally {
    await raw.close();
  }
}

type Readable = Pick<Awaited<ReturnType<typeof open>>, "read">;

async function copyChanges(raw: Readable, hdsPath: string): Promise<number> {
  const hds = await openHds(hdsPath, "r+");
  const wanted = Buffer.alloc(hds.info.clusterBytes);
  const present = Buffer.alloc(hds.info.clusterBytes);
  let changed = 0;
  try {
    for (let cluster = 0; cluster < hds.info.clusters; cluster += 1) {
      const { bytesRead } = await raw.read(wanted, 0, wanted.length, cluster * wanted.length);
      wanted.fill(0, bytesRead);
      const allocated = await hds.readCluster(cluster, present);
      if (!allocated && isZero(wanted)) continue;
      if (allocated && wanted.equals(present)) continue;
      await hds.writeCluster(cluster, wanted);
      changed += 1;
    }
  } finally {
    await hds.close();
  }
  return changed;
}

/** Writes a sparse raw image with the content of an expanding disk. */
export async function hdsToRaw(hdsPath: string, rawPath: string): Promise<void> {
  const hds = await openHds(hdsPath);
  const raw = await open(rawPath, "wx").catch(async (error: unknown) => {
    await hds.close();
    throw error;
  });
  const cluster = Buffer.alloc(hds.info.clusterBytes);
  try {
    await raw.truncate(hds.info.diskBytes);
    for (let index = 0; index < hds.info.clusters; index += 1) {
      if (!(await hds.readCluster(index, cluster))) continue;
      const offset = index * cluster.length;
      await raw.write(cluster, 0, Math.min(cluster.length, hds.info.diskBytes - offset), offset);
    }
  } finally {
    await Promise.all([hds.close(), raw.close()]);
  }
}
