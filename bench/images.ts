/**
 * How fast images move, each step against the usual tool in the same run: `tar -S | zstd -3 -T0`, its inverse, and `cp`.
 *
 * The bundle has what disks have: real files, bytes that do not shrink, and holes. One table; with `--json` its last line is the same as data.
 * Arguments: `--gib <n>` (1), `--store folder|s3` (folder), `--json`.
 */
import { execFile, spawn } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import Table from "cli-table3";
import { cloneFolder } from "../images/clone-file.ts";
import { removeFolder } from "../images/files.ts";
import { imagePaths } from "../images/layout.ts";
import { pullTree, type PullResult } from "../images/pull.ts";
import { pushBundle, type PushResult } from "../images/push.ts";
import { folderStore } from "../stores/folder.ts";
import type { ObjectStore } from "../stores/object-store.ts";
import { s3Store } from "../stores/s3.ts";
import { startS3Server } from "../tests/stores/s3-server.ts";

const run = promisify(execFile);
const signal = new AbortController().signal;
const mebibyte = 1024 * 1024;
const { values: options } = parseArgs({
  options: {
    gib: { type: "string", default: "1" },
    store: { type: "string", default: "folder" },
    json: { type: "boolean", default: false },
  },
});

interface Row {
  readonly what: string;
  readonly ours: number;
  readonly unit: string;
  readonly peer: string | null;
  readonly theirs: number | null;
  readonly ratio: number | null;
}

const root = await mkdtemp(join(tmpdir(), "drover-bench-"));
const at = (...names: string[]) => join(root, ...names);
const opened = await openStore();
try {
  const rows = await measure(opened.store, Number(options.gib));
  print(rows);
} finally {
  await opened.close();
  await removeFolder(root);
}

async function openStore(): Promise<{ store: ObjectStore; close(): Promise<void> }> {
  if (options.store !== "s3") return { store: folderStore(at("store")), close: async () => undefined };
  const server = await startS3Server();
  const credentials = { accessKeyId: server.accessKey, secretAccessKey: server.secretKey };
  const store = s3Store({ bucket: await server.makeBucket(), prefix: "", region: "us-east-1", endpoint: server.endpoint, credentials });
  return { store, close: () => server.stop() };
}

async function measure(store: ObjectStore, gib: number): Promise<Row[]> {
  const bundle = at("bundle");
  await makeBundle(bundle, gib * 1024);
  const rows: Row[] = [];
  const row = (what: string, ours: number, unit: string, peer: string | null, theirs: number | null) =>
    rows.push({
      what: `${what}, ${options.store}, ${gib} GiB`,
      ours: round(ours),
      unit,
      peer,
      theirs: theirs === null ? null : round(theirs),
      ratio: theirs === null ? null : round(theirs / ours),
    });
  let turn = 0;
  const push = (bases: PushResult[]) =>
    pushBundle({ bundlePath: bundle, store, bases, journalPath: at(`journal-${turn++}`), generation: 1, signal });
  const pull = (image: PushResult, to: string, seeds: { digest: string; path: string }[]): Promise<PullResult> =>
    pullTree({ ...image, store, targetPath: at(to), seeds, signal });

  const first = await timed(() => push([]));
  const peak = process.resourceUsage().maxRSS * 1024;
  const packed = await timed(packWithTar);
  row("first push", first.seconds, "s", "tar -S | zstd -3 -T0", packed.seconds);
  const again = await timed(() => push([first.value]));
  row("push again", again.seconds, "s", "tar -S | zstd -3 -T0", (await timed(packWithTar)).seconds);
  const pulled = await timed(() => pull(first.value, "one", []));
  row("pull", pulled.seconds, "s", "zstd -d | tar -x", (await timed(() => unpackWithTar("tar-1"))).seconds);
  rewriteClusters(bundle, gib * 1024);
  const delta = await timed(() => push([first.value]));
  row("delta push", delta.seconds, "s", "tar -S | zstd -3 -T0", (await timed(packWithTar)).seconds);
  const seeds = [{ digest: first.value.digest, path: at("one") }];
  const deltaPulled = await timed(() => pull(delta.value, "two", seeds));
  row("delta pull", deltaPulled.seconds, "s", "zstd -d | tar -x", (await timed(() => unpackWithTar("tar-2"))).seconds);
  const cloned = await timed(() => cloneFolder(imagePaths(at("two")).bundle, at("machine"), signal));
  row("provision", cloned.seconds, "s", "cp -R", (await timed(() => run("cp", ["-R", imagePaths(at("two")).bundle, at("copy")]))).seconds);
  row(
    "peak memory",
    peak / mebibyte,
    "MiB",
    packed.value === null ? null : "tar -S | zstd -3 -T0",
    packed.value === null ? null : packed.value / mebibyte,
  );
  return rows;
}

/** Real files of this computer (40 %), bytes that do not shrink (20 %), the rest holes. */
async function makeBundle(path: string, mebibytes: number): Promise<void> {
  const disk = join(path, "harddisk.hdd", "harddisk.hds");
  mkdirSync(join(path, "harddisk.hdd"), { recursive: true });
  writeFileSync(join(path, "config.pvs"), "<ParallelsVirtualMachine/>");
  writeFileSync(disk, "");
  truncateSync(disk, mebibytes * mebibyte);
  const real = Math.floor(mebibytes * 0.4);
  await run("sh", [
    "-c",
    `tar -cf - /usr/lib /usr/bin /usr/share 2>/dev/null | head -c ${real * mebibyte} | dd of="$1" conv=notrunc bs=1048576 seek=16 2>/dev/null`,
    "sh",
    disk,
  ]);
  const noise = Buffer.allocUnsafe(mebibyte);
  const fd = openSync(disk, "r+");
  const start = Math.floor(mebibytes * 0.7);
  for (let n = 0; n < mebibytes * 0.2; n++) writeSync(fd, randomFillSync(noise), 0, mebibyte, (start + n) * mebibyte);
  closeSync(fd);
}

/** Rewrites in place one cluster of 64 KiB in each thirty-second MiB: what a guest does on a quiet day. */
function rewriteClusters(path: string, mebibytes: number): void {
  const fd = openSync(join(path, "harddisk.hdd", "harddisk.hds"), "r+");
  const cluster = Buffer.allocUnsafe(65_536);
  for (let n = 17; n < mebibytes; n += 32) writeSync(fd, randomFillSync(cluster), 0, cluster.byteLength, n * mebibyte);
  closeSync(fd);
}

/** Answers the peak memory of both programs, where the system tells it. */
async function packWithTar(): Promise<number | null> {
  const out = openSync(at("packed.zst"), "w");
  const zstd = spawn("zstd", ["-3", "-T0", "-q", "-c"], { stdio: ["pipe", out, "inherit"] });
  const pipe = zstd.stdin;
  if (!pipe) throw new Error("zstd has no input.");
  const tar = spawn("tar", ["-S", "-cf", "-", "-C", root, "bundle"], { stdio: ["ignore", pipe, "inherit"] });
  pipe.destroy(); // It is tar's now.
  const peaks = [0, 0];
  const watch = setInterval(() => [tar, zstd].forEach(({ pid }, n) => (peaks[n] = Math.max(peaks[n] ?? 0, peakOf(pid)))), 20);
  const code = await new Promise<number | null>((resolve) => zstd.once("close", resolve));
  clearInterval(watch);
  closeSync(out);
  if (code !== 0) throw new Error(`zstd ended with code ${code}.`);
  const peak = peaks.reduce((sum, bytes) => sum + bytes, 0);
  return peak === 0 ? null : peak;
}

function peakOf(pid: number | undefined): number {
  try {
    return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    return 0; // It has ended, or this system has no such file.
  }
}

async function unpackWithTar(name: string): Promise<void> {
  mkdirSync(at(name));
  await run("sh", ["-c", 'zstd -d -q -c "$1" | tar -S -xf - -C "$2"', "sh", at("packed.zst"), at(name)]);
  rmSync(at(name), { recursive: true });
}

async function timed<T>(work: () => Promise<T>): Promise<{ value: T; seconds: number }> {
  const start = performance.now();
  const value = await work();
  return { value, seconds: (performance.now() - start) / 1000 };
}

function round(number: number): number {
  return Number(number.toPrecision(4));
}

function print(rows: readonly Row[]): void {
  const table = new Table({ head: ["what", "ours", "unit", "peer", "theirs", "ratio (above 1: ours is better)"] });
  for (const { what, ours, unit, peer, theirs, ratio } of rows) table.push([what, ours, unit, peer ?? "-", theirs ?? "-", ratio ?? "-"]);
  process.stdout.write(`${table.toString()}\n`);
  if (options.json) process.stdout.write(`${JSON.stringify({ rows })}\n`);
}
