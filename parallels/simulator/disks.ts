/**
 * What snapshots do to the disks of a bundle.
 *
 * The one idea: the guest always writes to the image with the constant GUID. An expanding disk gets an empty image on top and keeps the
 * old one below, so only changes are stored; a plain one has no notion of holes, so its snapshots are whole, sparse copies.
 */
import { readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { imageFile, newDescriptor, readDescriptor, topImage, type DiskImage, type DiskLayout } from "../bundle/descriptor.ts";
import { createHds, openHds } from "../hds.ts";
import { copySparse } from "./copy.ts";

const disksOf = (bundlePath: string) =>
  readdirSync(bundlePath)
    .filter((name) => name.endsWith(".hdd"))
    .toSorted();
const braced = (id: string) => `{${id}}`;

interface Disk {
  readonly folder: string;
  readonly name: string;
  readonly layout: DiskLayout;
}

export function openDisks(bundlePath: string): Disk[] {
  return disksOf(bundlePath).map((name) => {
    const folder = join(bundlePath, name);
    return { folder, name, layout: readDescriptor(readFileSync(join(folder, "DiskDescriptor.xml"), "utf8")) };
  });
}

export function writeDescriptor({ folder, layout }: Disk, images: readonly DiskImage[]): void {
  const aside = join(folder, `DiskDescriptor.xml.${process.pid}`);
  writeFileSync(aside, newDescriptor({ ...layout, images }));
  renameSync(aside, join(folder, "DiskDescriptor.xml"));
}

export async function addSnapshot(bundlePath: string, id: string): Promise<void> {
  for (const disk of openDisks(bundlePath)) {
    const top = disk.layout.images.find(({ guid }) => guid === topImage);
    if (!top) continue;
    const below: DiskImage = { ...top, guid: braced(id), file: imageFile(disk.name, braced(id)) };
    if (top.expanding) {
      await rename(join(disk.folder, top.file), join(disk.folder, below.file));
      await createHds(join(disk.folder, top.file), disk.layout.bytes);
    } else {
      await copySparse(join(disk.folder, top.file), join(disk.folder, below.file));
    }
    const others = disk.layout.images.filter(({ guid }) => guid !== topImage);
    writeDescriptor(disk, [{ ...top, parent: below.guid }, below, ...others]);
  }
}

/** What the guest wrote since is lost. */
export async function revertTo(bundlePath: string, id: string): Promise<void> {
  for (const disk of openDisks(bundlePath)) {
    const top = disk.layout.images.find(({ guid }) => guid === topImage);
    const below = disk.layout.images.find(({ guid }) => guid === braced(id));
    if (!top || !below) continue;
    rmSync(join(disk.folder, top.file), { force: true });
    if (top.expanding) await createHds(join(disk.folder, top.file), disk.layout.bytes);
    else await copySparse(join(disk.folder, below.file), join(disk.folder, top.file));
    writeDescriptor(
      disk,
      disk.layout.images.map((image) => (image === top ? { ...top, parent: below.guid } : image)),
    );
  }
}

/** Its clusters go to the images above that have none of their own there. */
export async function dropSnapshot(bundlePath: string, id: string): Promise<void> {
  for (const disk of openDisks(bundlePath)) {
    const gone = disk.layout.images.find(({ guid }) => guid === braced(id));
    if (!gone) continue;
    const above = disk.layout.images.filter(({ parent }) => parent === gone.guid);
    if (gone.expanding) for (const image of above) await mergeInto(join(disk.folder, image.file), join(disk.folder, gone.file));
    const kept = disk.layout.images.filter((image) => image !== gone);
    writeDescriptor(
      disk,
      kept.map((image) => (image.parent === gone.guid ? { ...image, parent: gone.parent } : image)),
    );
    rmSync(join(disk.folder, gone.file), { force: true });
  }
}

async function mergeInto(abovePath: string, belowPath: string): Promise<void> {
  const below = await openHds(belowPath);
  const above = await openHds(abovePath, "r+");
  const cluster = Buffer.alloc(below.info.clusterBytes);
  try {
    for (let index = 0; index < below.info.clusters; index += 1) {
      if (!above.isAllocated(index) && (await below.readCluster(index, cluster))) await above.writeCluster(index, cluster);
    }
  } finally {
    await Promise.all([below.close(), above.close()]);
  }
}
