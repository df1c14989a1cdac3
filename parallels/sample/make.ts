/**
 * Makes sample bundles: real folders with real disks, for computers without Parallels Desktop.
 *
 * The one idea: the content comes from files of this computer, inside a real file system where the tools for it exist, so that
 * compression and deduplication behave as with a guest; where they don't, the result says that a pattern took its place.
 */
import { mkdir, mkdtemp, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { makeBundle, makeEmptyImage } from "../bundle/make.ts";
import { rawToHds } from "../bundle/raw-disk.ts";
import { clusterBytes, createHds, rewriteClusters } from "../hds.ts";
import { gatherFiles } from "./content.ts";
import { findTool, makeExt4 } from "./ext4.ts";
import { patternCluster, patternClusters } from "./pattern.ts";

export interface SampleOptions {
  readonly folder: string;
  readonly name: string;
  /** Size of the guest's disk. */
  readonly bytes?: number;
  /** How much of it is filled. */
  readonly contentBytes?: number;
  /** Folders whose files fill the disk. */
  readonly sources?: readonly string[];
  /** Where tools are looked for. */
  readonly path: string;
  /** `pattern` asks for our own content even where mke2fs is at hand. */
  readonly content?: Sample["content"];
}

export interface Sample {
  readonly bundlePath: string;
  readonly id: string;
  readonly imagePath: string;
  readonly diskBytes: number;
  readonly contentBytes: number;
  readonly files: number;
  /** `ext4`: a file system made by mke2fs; `pattern`: filled by our own code because mke2fs is missing. */
  readonly content: "ext4" | "pattern";
}

const gibibyte = 1024 ** 3;
/** Below this, mke2fs makes a file system without a journal, which is none that a guest would use. */
const smallestDisk = 16 * 1024 ** 2;
/** A file system needs room for its tables and its journal beside the content. */
const largestShare = 0.8;
/** The first has larger files, so fewer make up the bytes. */
const usualSources = ["/usr/lib", "/usr/share"];
/** A Linux guest; the operating system's number is one that Parallels gives to Ubuntu. */
const linux = { osType: 9, osNumber: 2314 } as const;
const macos = { osType: 7, osNumber: 1795 } as const;

export async function makeSampleBundle(options: SampleOptions): Promise<Sample> {
  const { folder, name, sources = usualSources, path } = options;
  const diskBytes = Math.max(smallestDisk, Math.ceil((options.bytes ?? gibibyte) / clusterBytes) * clusterBytes);
  const wantedBytes = Math.min(options.contentBytes ?? 256 * 1024 ** 2, Math.floor(diskBytes * largestShare));
  const tool = options.content === "pattern" ? null : await findTool("mke2fs", path);
  let filled = { files: 0, bytes: 0 };
  await mkdir(folder, { recursive: true });

  const { bundlePath, id, imagePath } = await makeBundle({
    folder,
    name,
    kind: "pvm",
    ...linux,
    cpus: 2,
    memoryMegabytes: 2048,
    diskBytes,
    fill: async (image) => {
      filled =
        tool === null
          ? await fillWithPattern(image, { seed: name, diskBytes, bytes: wantedBytes })
          : await fillWithExt4(image, { tool, folder, sources, diskBytes, bytes: wantedBytes });
    },
  });
  if (imagePath === null) throw new Error(`${bundlePath} was made without a disk`);
  return {
    bundlePath,
    id,
    imagePath,
    diskBytes,
    contentBytes: filled.bytes,
    files: filled.files,
    content: tool === null ? "pattern" : "ext4",
  };
}

async function fillWithExt4(
  image: string,
  {
    tool,
    folder,
    sources,
    diskBytes,
    bytes,
  }: { tool: string; folder: string; sources: readonly string[]; diskBytes: number; bytes: number },
) {
  const scratch = await mkdtemp(join(folder, ".sample-"));
  try {
    const content = join(scratch, "content");
    await mkdir(content);
    const gathered = await gatherFiles(content, sources, bytes);
    const rawPath = join(scratch, "disk.raw");
    await makeExt4(tool, { rawPath, bytes: diskBytes, content });
    await rawToHds(rawPath, image);
    return gathered;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function fillWithPattern(image: string, { seed, diskBytes, bytes }: { seed: string; diskBytes: number; bytes: number }) {
  await createHds(image, diskBytes);
  const clusters = patternClusters(diskBytes / clusterBytes, bytes);
  await rewriteClusters(image, pattern(seed, clusters));
  return { files: 0, bytes: clusters.length * clusterBytes };
}

function* pattern(seed: string, clusters: readonly number[]) {
  for (const cluster of clusters) yield [cluster, patternCluster(seed, cluster)] as const;
}

/** A macOS guest's bundle: one plain, sparse image and the three files of Apple's virtualization; its content is a pattern. */
export async function makeSampleMacvm(options: Omit<SampleOptions, "sources" | "path" | "content">): Promise<Sample> {
  const diskBytes = Math.max(clusterBytes, Math.ceil((options.bytes ?? gibibyte) / clusterBytes) * clusterBytes);
  const clusters = patternClusters(diskBytes / clusterBytes, options.contentBytes ?? 64 * 1024 ** 2);
  await mkdir(options.folder, { recursive: true });

  const { bundlePath, id, imagePath } = await makeBundle({
    folder: options.folder,
    name: options.name,
    kind: "macvm",
    ...macos,
    cpus: 4,
    memoryMegabytes: 8192,
    diskBytes,
    fill: async (image) => {
      await makeEmptyImage(image, diskBytes, false);
      const file = await open(image, "r+");
      try {
        for (const [cluster, bytes] of pattern("sample", clusters)) await file.write(bytes, 0, bytes.length, cluster * clusterBytes);
      } finally {
        await file.close();
      }
    },
  });
  if (imagePath === null) throw new Error(`${bundlePath} was made without a disk`);
  return { bundlePath, id, imagePath, diskBytes, contentBytes: clusters.length * clusterBytes, files: 0, content: "pattern" };
}
