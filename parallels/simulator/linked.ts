/** Disks of linked clones: an empty image of their own above images that stay in the source's bundle, named by absolute paths. */
import { mkdirSync, writeFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { imageFile, topImage, type DiskImage } from "../bundle/descriptor.ts";
import { createHds } from "../hds.ts";
import { openDisks, writeDescriptor } from "./disks.ts";

export async function linkDisks(sourcePath: string, clonePath: string, snapshotId: string): Promise<void> {
  for (const disk of openDisks(sourcePath)) {
    const folder = join(clonePath, disk.name);
    const own: DiskImage = { guid: topImage, parent: `{${snapshotId}}`, expanding: true, file: imageFile(disk.name, topImage) };
    const absolute = (image: DiskImage) => ({ ...image, file: isAbsolute(image.file) ? image.file : join(disk.folder, image.file) });
    mkdirSync(folder);
    writeFileSync(join(folder, disk.name), "");
    await createHds(join(folder, own.file), disk.layout.bytes);
    writeDescriptor({ ...disk, folder }, [own, ...chain(disk.layout.images, own.parent).map(absolute)]);
  }
}

/** The image and all below it. */
function chain(images: readonly DiskImage[], guid: string | null): DiskImage[] {
  const image = images.find((candidate) => candidate.guid === guid);
  return image ? [image, ...chain(images, image.parent)] : [];
}
