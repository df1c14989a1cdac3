/**
 * Whether an expanding disk (`.hds`) holds all that its table lists: a copy that broke off looks whole until a guest reads its end.
 *
 * Only the header and the table are read, which are one part in 250,000 of the disk. A file that does not begin like an expanding disk is not judged.
 */
import { open } from "node:fs/promises";

const magics: Readonly<Record<string, "clusters" | "sectors">> = { WithouFreSpacExt: "clusters", WithoutFreeSpace: "sectors" };
const headerBytes = 64;
const sectorBytes = 512;
/** A table of 4 MiB lists a disk of a terabyte; one is read in parts of this size. */
const partBytes = 4 * 1024 * 1024;
const at = { clusterSectors: 28, entries: 32 } as const;

export async function isCutShort(path: string): Promise<boolean> {
  await using file = await open(path, "r");
  const { size } = await file.stat();
  const header = Buffer.alloc(headerBytes);
  const { bytesRead } = await file.read(header, 0, headerBytes, 0);
  const unit = magics[header.toString("latin1", 0, 16)];
  if (bytesRead < headerBytes || unit === undefined) return false;
  const entries = header.readUInt32LE(at.entries);
  if (headerBytes + 4 * entries > size) return true;
  const unitBytes = sectorBytes * (unit === "clusters" ? header.readUInt32LE(at.clusterSectors) : 1);
  const part = Buffer.alloc(Math.min(4 * entries, partBytes));
  for (let read = 0; read < 4 * entries;) {
    const length = Math.min(part.length, 4 * entries - read);
    await file.read(part, 0, length, headerBytes + read);
    for (let entry = 0; entry < length; entry += 4) if (part.readUInt32LE(entry) * unitBytes >= size) return true;
    read += length;
  }
  return false;
}
