/**
 * `DiskDescriptor.xml`: which image files make up a disk, and how snapshots hang together.
 *
 * The one idea: the image that the guest writes to always has the same GUID; a snapshot gives the old one a new GUID and puts it below.
 */
import { elementOf, elementsOf } from "./config.ts";

/** The GUID of the image that the guest writes to, in every Parallels disk. */
export const topImage = "{5fbaabe3-6958-40ff-92a7-860e329aab41}";
const noImage = "{00000000-0000-0000-0000-000000000000}";

export interface DiskImage {
  readonly guid: string;
  /** `null` for the image at the bottom. */
  readonly parent: string | null;
  readonly expanding: boolean;
  /** Relative to the disk's folder; an absolute path marks a linked clone. */
  readonly file: string;
}

export interface DiskLayout {
  readonly uid: string;
  readonly bytes: number;
  readonly images: readonly DiskImage[];
}

export const imageFile = (diskName: string, guid: string): string => `${diskName}.0.${guid}.hds`;

export function newDescriptor({ uid, bytes, images }: DiskLayout): string {
  const sectors = bytes / 512;
  return `<?xml version='1.0' encoding='UTF-8'?>
<Parallels_disk_image Version="1.0">
    <Disk_Parameters>
        <Disk_size>${sectors}</Disk_size>
        <Cylinders>${Math.ceil(sectors / 512)}</Cylinders>
        <PhysicalSectorSize>4096</PhysicalSectorSize>
        <LogicSectorSize>512</LogicSectorSize>
        <Heads>16</Heads>
        <Sectors>32</Sectors>
        <Padding>0</Padding>
        <UID>{${uid}}</UID>
        <Name>harddisk</Name>
    </Disk_Parameters>
    <StorageData>
        <Storage>
            <Start>0</Start>
            <End>${sectors}</End>
            <Blocksize>2048</Blocksize>
${images.map(imageElement).join("")}        </Storage>
    </StorageData>
    <Snapshots>
${images.map(shotElement).join("")}    </Snapshots>
</Parallels_disk_image>
`;
}

const imageElement = ({ guid, expanding, file }: DiskImage) => `            <Image>
                <GUID>${guid}</GUID>
                <Type>${expanding ? "Compressed" : "Plain"}</Type>
                <File>${file.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</File>
            </Image>
`;

const shotElement = ({ guid, parent }: DiskImage) => `        <Shot>
            <GUID>${guid}</GUID>
            <ParentGUID>${parent ?? noImage}</ParentGUID>
        </Shot>
`;

export function readDescriptor(xml: string): DiskLayout {
  const parents = new Map(elementsOf(xml, "Shot").map((shot) => [elementOf(shot, "GUID"), elementOf(shot, "ParentGUID")]));
  const images = elementsOf(xml, "Image").map((image): DiskImage => {
    const guid = elementOf(image, "GUID") ?? topImage;
    const parent = parents.get(guid) ?? noImage;
    return {
      guid,
      parent: parent === noImage ? null : parent,
      expanding: elementOf(image, "Type") === "Compressed",
      file: elementOf(image, "File") ?? "",
    };
  });
  return { uid: (elementOf(xml, "UID") ?? "").replace(/[{}]/g, ""), bytes: Number(elementOf(xml, "Disk_size") ?? 0) * 512, images };
}
