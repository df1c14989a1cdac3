/**
 * The bundle that is measured, and how it changes: what golden images are made of, and what guests do to them.
 *
 * Three quarters are a true expanding disk with a real ext4 in it, a quarter is a plain sparse disk as a macOS machine has; of both about 40 % is never
 * written, 35 % are files of this computer and 25 % bytes that do not shrink. The change goes through the file system first, then in place.
 */
import { randomFillSync } from "node:crypto";
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { makeDiskFolder } from "../parallels/bundle/make.ts";
import { clusterBytes, openHds } from "../parallels/hds.ts";
import { changeDisk } from "../parallels/sample/change.ts";
import { makeSampleBundle } from "../parallels/sample/make.ts";
import { changeFiles, rewriteInPlace } from "./guest.ts";
import { patternCluster } from "../parallels/sample/pattern.ts";

export interface Input {
  readonly bundlePath: string;
  readonly expandingPath: string;
  readonly plainPath: string;
  /** `ext4`: a file system made by mke2fs; `pattern`: our own content, because mke2fs is missing. */
  readonly content: "ext4" | "pattern";
}

interface InputOptions {
  readonly folder: string;
  readonly mebibytes: number;
  /** Where mke2fs and debugfs are looked for. */
  readonly path: string;
}

const mebibyte = 1024 * 1024;
const filledShare = 0.6;
const noiseShare = 0.25;
/** Every so many filled clusters one is rewritten: with the files, about 3 % of the image. */
const rewrittenEvery = 50;
const newFileShare = 0.01;
const sources = ["/usr/lib", "/usr/bin", "/usr/share", "/usr/local", "/opt"];

export async function makeInput({ folder, mebibytes, path }: InputOptions): Promise<Input> {
  const expandingMebibytes = Math.floor(mebibytes * 0.75);
  const plainMebibytes = mebibytes - expandingMebibytes;
  const noise = join(folder, "noise");
  await writeNoise(noise, Math.floor(expandingMebibytes * noiseShare));
  const contentBytes = expandingMebibytes * filledShare * mebibyte;
  const sample = await makeSampleBundle({
    folder,
    name: "bundle",
    bytes: expandingMebibytes * mebibyte,
    contentBytes,
    sources: [noise, ...sources],
    path,
  });
  await rm(noise, { recursive: true });
  const { bundlePath, imagePath: expandingPath, content } = sample;
  const image = await makeDiskFolder({
    bundle: bundlePath,
    diskName: "harddisk2.hdd",
    bytes: plainMebibytes * mebibyte,
    expanding: false,
    fill: (plain) => fillPlain(plain, plainMebibytes),
  });
  return { bundlePath, expandingPath, plainPath: join(bundlePath, image), content };
}

/** Files of 16 MiB that no compressor makes smaller, as pictures and archives are. */
async function writeNoise(folder: string, mebibytes: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (let at = 0; at < mebibytes; at += 16) {
    const file = await open(join(folder, `noise-${at}`), "wx");
    await file.writeFile(randomFillSync(Buffer.allocUnsafe(Math.min(16, mebibytes - at) * mebibyte))).finally(() => file.close());
  }
}

/** Runs of our own content with holes between them: not the bytes of the other disk, which would only show that nothing is stored twice. */
async function fillPlain(path: string, mebibytes: number): Promise<void> {
  const file = await open(path, "wx");
  try {
    await file.truncate(mebibytes * mebibyte);
    for (let at = 0; at < mebibytes; at++) {
      if (at % 20 < 20 * filledShare) await file.write(patternCluster("plain", at), 0, mebibyte, at * mebibyte);
    }
  } finally {
    await file.close();
  }
}

/** Changes both disks as guests do, and answers how, in words. */
export async function changeInput({ bundlePath, expandingPath, plainPath }: Input, path: string): Promise<string> {
  const before = await allocated(expandingPath);
  const bytes = Math.ceil(before.length * newFileShare) * clusterBytes;
  const inFiles = await changeFiles(expandingPath, { bytes, path });
  if (!inFiles) await changeDisk(bundlePath, { bytes, path: "" });
  const rewritten = before.filter((_, n) => n % rewrittenEvery === 7);
  const by = await rewriteInPlace(expandingPath, rewritten, path);
  await rewritePlain(plainPath);
  return `files changed by ${inFiles ? "debugfs" : "ourselves"}, clusters by ${by}`;
}

async function allocated(path: string): Promise<number[]> {
  const hds = await openHds(path);
  const clusters = Array.from({ length: hds.info.clusters }, (_, cluster) => cluster).filter((cluster) => hds.isAllocated(cluster));
  await hds.close();
  return clusters;
}

async function rewritePlain(path: string): Promise<void> {
  const file = await open(path, "r+");
  try {
    const clusters = (await file.stat()).size / clusterBytes;
    for (let cluster = 3; cluster < clusters; cluster += rewrittenEvery)
      await file.write(patternCluster("changed plain", cluster), 0, clusterBytes, cluster * clusterBytes);
  } finally {
    await file.close();
  }
}
