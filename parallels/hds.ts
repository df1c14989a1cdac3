/**
 * Expanding disks (`.hds`) in Parallels' format: a header, a table with one entry per cluster of the guest's disk, then clusters.
 *
 * The one idea: an entry of 0 is a hole, any other says where the cluster lies, so a guest's change touches whole clusters aligned to
 * 1 MiB and nothing else moves. Data is written before the entry that names it, so a killed writer leaves no entry that points to nothing.
 */
import { open, type FileHandle } from "node:fs/promises";
import { FaultError } from "../domain/errors.ts";

const headerBytes = 64;
const sectorBytes = 512;
/** What Parallels Desktop writes today; older disks have other sizes, and readers take them from the header. */
export const clusterBytes = 1024 * 1024;
const clusterSectors = clusterBytes / sectorBytes;
/** The extended format counts entries in clusters, the first format in sectors. */
const extendedMagic = "WithouFreSpacExt";
const firstMagic = "WithoutFreeSpace";
const inUseMark = 0x746f6e59;
const at = { version: 16, heads: 20, cylinders: 24, clusterSectors: 28, entries: 32, sectors: 36, inUse: 44, dataOffset: 48 } as const;
/** A geometry that every tool accepts; nothing computes with it. */
const heads = 16;
const sectorsPerTrack = 32;

export interface HdsInfo {
  readonly diskBytes: number;
  readonly clusterBytes: number;
  readonly clusters: number;
  readonly allocatedClusters: number;
  readonly inUse: boolean;
}

export interface Hds {
  readonly info: HdsInfo;
  isAllocated(cluster: number): boolean;
  /** Fills `into` with a cluster; a hole reads as zeroes and answers `false`. */
  readCluster(cluster: number, into: Uint8Array): Promise<boolean>;
  /** Overwrites a cluster in place, or gives a hole its place at the end of the file. */
  writeCluster(cluster: number, bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

export async function createHds(path: string, diskBytes: number): Promise<void> {
  const entries = Math.ceil(diskBytes / clusterBytes);
  const header = Buffer.alloc(dataStart(entries));
  header.write(extendedMagic, 0, "latin1");
  header.writeUInt32LE(2, at.version);
  header.writeUInt32LE(heads, at.heads);
  header.writeUInt32LE(Math.ceil(diskBytes / sectorBytes / heads / sectorsPerTrack), at.cylinders);
  header.writeUInt32LE(clusterSectors, at.clusterSectors);
  header.writeUInt32LE(entries, at.entries);
  header.writeBigUInt64LE(BigInt(Math.ceil(diskBytes / sectorBytes)), at.sectors);
  header.writeUInt32LE(header.length / sectorBytes, at.dataOffset);
  const file = await open(path, "wx");
  try {
    await file.writeFile(header);
  } finally {
    await file.close();
  }
}

const dataStart = (entries: number) => Math.ceil((headerBytes + 4 * entries) / clusterBytes) * clusterBytes;

/** Opened for writing, the disk is marked as in use until it is closed, as a running machine marks it. */
export async function openHds(path: string, mode: "r" | "r+" = "r"): Promise<Hds> {
  const file = await open(path, mode);
  try {
    const layout = await readLayout(file, path);
    if (mode === "r+") await mark(file, inUseMark);
    return hdsOver(file, layout, mode === "r+");
  } catch (error) {
    await file.close();
    throw error;
  }
}

export async function readHdsInfo(path: string): Promise<HdsInfo> {
  const hds = await openHds(path);
  await hds.close();
  return hds.info;
}

/** Writes the given clusters in place; what the guest's own writes do to the file. */
export async function rewriteClusters(path: string, changes: Iterable<readonly [cluster: number, bytes: Uint8Array]>): Promise<number> {
  const hds = await openHds(path, "r+");
  let written = 0;
  try {
    for (const [cluster, bytes] of changes) {
      await hds.writeCluster(cluster, bytes);
      written += 1;
    }
  } finally {
    await hds.close();
  }
  return written;
}

interface Layout {
  readonly diskBytes: number;
  readonly bytesPerCluster: number;
  readonly bytesPerUnit: number;
  readonly table: Uint32Array;
  readonly inUse: boolean;
  end: number;
}

async function readLayout(file: FileHandle, path: string): Promise<Layout> {
  const refused = (why: string) =>
    new FaultError({ code: "bundle_invalid", message: `${path} is no expanding Parallels disk: ${why}.`, subject: path });
  const header = Buffer.alloc(headerBytes);
  const { bytesRead } = await file.read(header, 0, headerBytes, 0);
  const magic = header.toString("latin1", 0, 16);
  if (bytesRead < headerBytes || (magic !== extendedMagic && magic !== firstMagic)) throw refused("its header is another");
  if (header.readUInt32LE(at.version) !== 2) throw refused(`its version is ${header.readUInt32LE(at.version)}, not 2`);
  const sectors = magic === extendedMagic ? Number(header.readBigUInt64LE(at.sectors)) : header.readUInt32LE(at.sectors);
  const bytesPerCluster = header.readUInt32LE(at.clusterSectors) * sectorBytes;
  const entries = header.readUInt32LE(at.entries);
  const { size } = await file.stat();
  if (bytesPerCluster === 0) throw refused("its clusters have no size");
  if (entries * bytesPerCluster < sectors * sectorBytes || headerBytes + entries * 4 > size)
    throw refused("its table does not cover the disk");
  const table = new Uint32Array(entries);
  await file.read(new Uint8Array(table.buffer), 0, entries * 4, headerBytes);
  const bytesPerUnit = magic === extendedMagic ? bytesPerCluster : sectorBytes;
  if (table.some((entry) => entry !== 0 && (entry + 1) * bytesPerUnit > roundUp(size, bytesPerCluster)))
    throw refused("its table points behind its end");
  const inUse = header.readUInt32LE(at.inUse) === inUseMark;
  const end = Math.max(roundUp(size, bytesPerCluster), dataStart(entries));
  return { diskBytes: sectors * sectorBytes, bytesPerCluster, bytesPerUnit, table, inUse, end };
}

const roundUp = (bytes: number, unit: number) => Math.ceil(bytes / unit) * unit;

async function mark(file: FileHandle, value: number): Promise<void> {
  const word = Buffer.alloc(4);
  word.writeUInt32LE(value);
  await file.write(word, 0, 4, at.inUse);
}

function hdsOver(file: FileHandle, layout: Layout, writable: boolean): Hds {
  const { table, bytesPerCluster, bytesPerUnit, diskBytes } = layout;
  const place = (cluster: number) => {
    const entry = table[cluster];
    if (entry === undefined) throw new RangeError(`cluster ${cluster} is outside of the disk`);
    return entry * bytesPerUnit;
  };

  return {
    get info() {
      const allocatedClusters = table.reduce((count, entry) => count + (entry === 0 ? 0 : 1), 0);
      return { diskBytes, clusterBytes: bytesPerCluster, clusters: table.length, allocatedClusters, inUse: layout.inUse };
    },
    isAllocated: (cluster) => place(cluster) !== 0,
    readCluster: async (cluster, into) => {
      const offset = place(cluster);
      into.fill(0);
      if (offset === 0) return false;
      await file.read(into, 0, bytesPerCluster, offset);
      return true;
    },
    writeCluster: async (cluster, bytes) => {
      const offset = place(cluster);
      if (bytes.length !== bytesPerCluster) throw new RangeError(`a cluster has ${bytesPerCluster} bytes, not ${bytes.length}`);
      if (offset !== 0) return void (await file.write(bytes, 0, bytes.length, offset));
      await file.write(bytes, 0, bytes.length, layout.end);
      table[cluster] = layout.end / bytesPerUnit;
      layout.end += bytesPerCluster;
      await file.write(new Uint8Array(table.buffer, cluster * 4, 4), 0, 4, headerBytes + cluster * 4);
    },
    close: async () => {
      if (writable) await mark(file, 0);
      await file.close();
    },
  };
}
