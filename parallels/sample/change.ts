/**
 * Changes a bundle's disk as its guest would: a new file in its file system, or rewritten clusters.
 *
 * The one idea: only clusters that differ are written, in place, so a push of the changed bundle shows what really changed.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { readDescriptor, topImage } from "../bundle/descriptor.ts";
import { hdsToRaw, updateHdsFromRaw } from "../bundle/raw-disk.ts";
import { FaultError } from "../../domain/errors.ts";
import { clusterBytes, openHds } from "../hds.ts";
import { findTool, holdsExt4, writeIntoExt4 } from "./ext4.ts";

export interface DiskChange {
  /** `debugfs`: a file was written into the guest's ext4; `clusters`: our own code rewrote clusters. */
  readonly way: "debugfs" | "clusters";
  readonly changedClusters: number;
}

/** Writes `bytes` of new content to the disk of a machine that does not run. */
export async function changeDisk(bundlePath: string, { bytes, path }: { bytes: number; path: string }): Promise<DiskChange> {
  const { imagePath, expanding } = await imageOf(bundlePath);
  const tool = await findTool("debugfs", path);
  const scratch = await mkdtemp(join(dirname(bundlePath), ".change-"));
  try {
    if (tool !== null && expanding) {
      const changedClusters = await changeByDebugfs(tool, { imagePath, scratch, bytes });
      if (changedClusters !== null) return { way: "debugfs", changedClusters };
    }
    return { way: "clusters", changedClusters: await (expanding ? rewriteExpanding : rewritePlain)(imagePath, bytes) };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function imageOf(bundlePath: string): Promise<{ imagePath: string; expanding: boolean }> {
  const disk = (await readdir(bundlePath)).filter((name) => name.endsWith(".hdd")).toSorted()[0];
  if (disk === undefined) throw new FaultError({ code: "bundle_invalid", message: `${bundlePath} has no disk.`, subject: bundlePath });
  const layout = readDescriptor(await readFile(join(bundlePath, disk, "DiskDescriptor.xml"), "utf8"));
  const top = layout.images.find(({ guid }) => guid === topImage);
  if (!top)
    throw new FaultError({
      code: "bundle_invalid",
      message: `${disk} of ${bundlePath} names no image that a guest writes to.`,
      subject: bundlePath,
    });
  return { imagePath: join(bundlePath, disk, top.file), expanding: top.expanding };
}

/** `null`: the disk holds no ext4. */
async function changeByDebugfs(
  tool: string,
  { imagePath, scratch, bytes }: { imagePath: string; scratch: string; bytes: number },
): Promise<number | null> {
  const rawPath = join(scratch, "disk.raw");
  const filePath = join(scratch, "new-file");
  await hdsToRaw(imagePath, rawPath);
  if (!(await holdsExt4(rawPath))) return null;
  await writeFile(filePath, randomBytes(bytes));
  await writeIntoExt4(tool, { rawPath, filePath, name: `change-${randomUUID()}` });
  return updateHdsFromRaw(rawPath, imagePath);
}

async function rewriteExpanding(imagePath: string, bytes: number): Promise<number> {
  const hds = await openHds(imagePath, "r+");
  try {
    const present = Array.from({ length: hds.info.clusters }, (_, cluster) => cluster).filter((cluster) => hds.isAllocated(cluster));
    const changed = present.slice(0, Math.ceil(bytes / hds.info.clusterBytes));
    for (const cluster of changed) await hds.writeCluster(cluster, randomBytes(hds.info.clusterBytes));
    return changed.length;
  } finally {
    await hds.close();
  }
}

async function rewritePlain(imagePath: string, bytes: number): Promise<number> {
  const file = await open(imagePath, "r+");
  try {
    const { size } = await file.stat();
    const clusters = Math.min(Math.ceil(bytes / clusterBytes), Math.ceil(size / clusterBytes));
    const fresh = randomBytes(Math.min(size, clusters * clusterBytes));
    await file.write(fresh, 0, fresh.length, 0);
    return clusters;
  } finally {
    await file.close();
  }
}
