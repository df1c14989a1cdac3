/**
 * Makes the folder of a machine: its configuration, its disk, and the files that only that kind has.
 *
 * The one idea: the folder is made whole under another name and appears by one rename, so nobody meets half a bundle.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { mkdir, open, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createHds } from "../hds.ts";
import { newConfig, type MachineFacts } from "./config.ts";
import { imageFile, newDescriptor, topImage } from "./descriptor.ts";

export interface NewBundle {
  readonly folder: string;
  readonly name: string;
  readonly kind: "pvm" | "macvm";
  readonly osType: number;
  readonly osNumber: number;
  readonly cpus: number;
  readonly memoryMegabytes: number;
  /** `null`: a machine without a disk. */
  readonly diskBytes: number | null;
  /** Fills the disk's one image, instead of an empty one. */
  readonly fill?: (imagePath: string) => Promise<void>;
}

export interface MadeBundle {
  readonly bundlePath: string;
  readonly id: string;
  /** The image that the guest writes to. */
  readonly imagePath: string | null;
}

/** 33 MB as Parallels writes it: the guest's NVRAM and recovery settings. */
const macAuxiliaryBytes = 33_579_164;
const nvramBytes = 262_144;

export const newMacAddress = (): string => `001C42${randomBytes(3).toString("hex").toUpperCase()}`;

export async function makeBundle(wanted: NewBundle): Promise<MadeBundle> {
  const id = randomUUID();
  const bundlePath = join(wanted.folder, `${wanted.name}.${wanted.kind}`);
  const aside = join(dirname(bundlePath), `.${wanted.name}.${id}.making`);
  await mkdir(aside, { recursive: true });
  try {
    const imagePath = wanted.diskBytes === null ? null : await makeDisk(aside, wanted, wanted.diskBytes);
    await writeFile(join(aside, "config.pvs"), newConfig(factsOf(wanted, id)));
    await (wanted.kind === "macvm" ? writeMacFiles(aside) : writeFile(join(aside, "NVRAM.dat"), Buffer.alloc(nvramBytes, 0xff)));
    await rename(aside, bundlePath);
    return { bundlePath, id, imagePath: imagePath && join(bundlePath, imagePath) };
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    throw error;
  }
}

const diskName = (kind: NewBundle["kind"]) => (kind === "macvm" ? "harddisk.hdd" : "harddisk1.hdd");

function factsOf(wanted: NewBundle, id: string): MachineFacts {
  const { name, kind, osType, osNumber, cpus, memoryMegabytes, diskBytes } = wanted;
  const disk =
    diskBytes === null ? null : { fileName: diskName(kind), megabytes: Math.ceil(diskBytes / 1024 / 1024), expanding: kind === "pvm" };
  return { id, name, kind, osType, osNumber, cpus, memoryMegabytes, macAddress: newMacAddress(), disk, createdAt: new Date() };
}

async function makeDisk(bundle: string, { kind, fill }: NewBundle, bytes: number): Promise<string> {
  return makeDiskFolder({ bundle, diskName: diskName(kind), bytes, expanding: kind === "pvm", ...(fill && { fill }) });
}

/** Makes a disk's folder inside a bundle; answers the path of its image, relative to the bundle. */
export async function makeDiskFolder(disk: {
  readonly bundle: string;
  readonly diskName: string;
  readonly bytes: number;
  readonly expanding: boolean;
  readonly fill?: (imagePath: string) => Promise<void>;
}): Promise<string> {
  const folder = join(disk.bundle, disk.diskName);
  const file = imageFile(disk.diskName, topImage);
  await mkdir(folder);
  await (disk.fill ?? ((path) => makeEmptyImage(path, disk.bytes, disk.expanding)))(join(folder, file));
  const images = [{ guid: topImage, parent: null, expanding: disk.expanding, file }];
  const descriptor = newDescriptor({ uid: randomUUID(), bytes: disk.bytes, images });
  await writeFile(join(folder, "DiskDescriptor.xml"), descriptor);
  await writeFile(join(folder, "DiskDescriptor.xml.Backup"), descriptor);
  await writeFile(join(folder, disk.diskName), "");
  return join(disk.diskName, file);
}

/** A plain image has the size of the whole disk and holes where the guest wrote nothing. */
export async function makeEmptyImage(path: string, bytes: number, expanding: boolean): Promise<void> {
  if (expanding) return createHds(path, bytes);
  const file = await open(path, "wx");
  await file.truncate(bytes).finally(() => file.close());
}

async function writeMacFiles(bundle: string): Promise<void> {
  const auxiliary = await open(join(bundle, "aux.bin"), "wx");
  try {
    await auxiliary.truncate(macAuxiliaryBytes);
    await auxiliary.write(randomBytes(64 * 1024), 0, 64 * 1024, 0);
  } finally {
    await auxiliary.close();
  }
  await writeFile(join(bundle, "machw.bin"), randomBytes(132));
  await writeFile(join(bundle, "macid.bin"), randomBytes(68));
}
