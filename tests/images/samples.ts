/**
 * Bundles for tests: made from a seed that is printed when a test fails, and compared bit by bit.
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Numbers from 0 to below 1 that follow from the seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const fromSeed = (seed: number | string, bytes: number): Buffer => {
  // A hash of this kind gives as many bytes as one asks for.
  return createHash("shake256", { outputLength: bytes }).update(String(seed)).digest();
};

export async function workFolder(): Promise<{ path: string; [Symbol.asyncDispose](): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), "drover-images-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

const names = [
  "config.pvs",
  "Ünïcödé 名前",
  "e\u0301 decomposed",
  "with space ",
  "-dash",
  "emoji 🐴",
  "tab\there",
  "x".repeat(255),
  ".hidden",
  "deep",
];

/** A folder with everything an image keeps: nested and empty folders, links, odd names, modes, times, sparse files. */
export function makeTree(path: string, seed: number): void {
  const next = random(seed);
  const pick = (limit: number) => Math.floor(next() * limit);
  mkdirSync(path);
  const folders = [""];
  for (let n = 0; n < 4; n++) {
    const folder = join(folders[pick(folders.length)] ?? "", `folder ${n}`);
    mkdirSync(join(path, folder));
    folders.push(folder);
  }
  const files: string[] = [];
  names.slice(0, 3 + pick(names.length - 3)).forEach((name, n) => {
    const file = join(folders[pick(folders.length)] ?? "", name);
    writeSample(join(path, file), `${seed}/${n}`, next);
    chmodSync(join(path, file), [0o644, 0o600, 0o755, 0o444][pick(4)] ?? 0o644);
    files.push(file);
  });
  symlinkSync(files[0] ?? "nowhere", join(path, "link"));
  symlinkSync("../link", join(path, folders[1] ?? "", "up"));
  lutimesSync(join(path, "link"), 1_600_000_000, 1_600_000_000.125);
  for (const name of [...files, ...folders.toReversed()])
    utimesSync(join(path, name), 1_700_000_000, 1_500_000_000 + pick(1e8) + pick(1000) / 1000);
}

/** Runs of data, repeats and holes, aligned to nothing in particular. */
function writeSample(path: string, seed: string, next: () => number): void {
  const fd = openSync(path, "wx");
  const size = Math.floor(next() ** 4 * 6_000_000);
  ftruncateSync(fd, size);
  for (let at = 0; at < size; at += Math.floor(next() * 900_000)) {
    const length = Math.min(size - at, Math.floor(next() * 400_000));
    const body = next() < 0.3 ? Buffer.alloc(length, "repeat ") : next() < 0.2 ? Buffer.alloc(length) : fromSeed(`${seed}/${at}`, length);
    if (length > 0) writeSync(fd, body, 0, length, at);
    at += length;
  }
  closeSync(fd);
}

/** Everything that must survive, as lines: kind, mode, time, and the content's hash or the link's target. */
export function listTree(root: string, path = ""): string[] {
  const full = join(root, path);
  const stats = lstatSync(full);
  const time = Math.round(stats.mtimeMs);
  if (stats.isSymbolicLink()) return [`link ${path} -> ${readlinkSync(full)} ${time}`];
  const mode = (stats.mode & 0o777).toString(8);
  if (stats.isFile())
    return [`file ${path} ${mode} ${time} ${stats.size} ${createHash("sha256").update(readFileSync(full)).digest("hex")}`];
  return [
    `folder ${path} ${mode} ${time}`,
    ...readdirSync(full)
      .sort()
      .flatMap((name) => listTree(root, join(path, name))),
  ];
}

/** A bundle with one disk of `bytes` of incompressible data. */
export function makeDisk(path: string, seed: string, bytes: number): void {
  mkdirSync(join(path, "disk.hdd"), { recursive: true });
  writeFileSync(join(path, "config.pvs"), "<ParallelsVirtualMachine/>");
  writeFileSync(join(path, "disk.hdd", "disk.hds"), fromSeed(seed, bytes));
}
