/**
 * How fast an archive of the Parallels DevOps service becomes an image, beside what `tar` takes for the same archive in the same run.
 *
 * The one idea: both read a file that the system has in memory and write to one disk; ours verifies the MD5, hashes every chunk and syncs, tar does none of it.
 */
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, open, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unpackArchive } from "../images/pdpack/unpack.ts";
import { folderStore } from "../stores/folder.ts";
import { printTable, smallerIsBetter, type Row } from "./table.ts";

const mebibytes = Number(process.argv[2] ?? 1024);
const runs = 3;
const mebibyte = 1024 * 1024;
const folder = await mkdtemp(join(process.argv[3] ?? tmpdir(), "drover-unpack-"));

try {
  await makeBundle(join(folder, "bundle"));
  const plain = join(folder, "plain.pdpack");
  const gzip = join(folder, "gzip.pdpack");
  execFileSync("tar", ["--format=ustar", "-cf", plain, "-C", join(folder, "bundle"), "."]);
  execFileSync("sh", ["-c", `gzip -1 -c "${plain}" > "${gzip}"`]);
  const rows: Row[] = [];
  for (const [name, path, flag] of [
    ["plain tar", plain, "-xf"],
    ["gzip", gzip, "-xzf"],
  ] as const) {
    const md5 = await md5Of(path);
    const peer = { name: `tar ${flag}`, value: await best(() => untar(path, flag)) };
    const what = `${name}, ${mebibytes} MiB`;
    rows.push(smallerIsBetter(`${what}: MD5 and tree`, await best(() => unpacked(path, md5)), "ms", peer, { leastRatio: 0.5 }));
    rows.push(smallerIsBetter(`${what}: digest known, tree only`, await best(() => unpacked(path, null)), "ms", peer, { leastRatio: 0.5 }));
  }
  rows.push(smallerIsBetter("peak memory", process.resourceUsage().maxRSS / 1024, "MiB", null, { below: 400 }));
  printTable(rows, []);
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** A third zeros, a third that no compressor shortens, a third of text. */
async function makeBundle(path: string): Promise<void> {
  await mkdir(join(path, "disk.hdd"), { recursive: true });
  await writeFile(join(path, "config.pvs"), "<ParallelsVirtualMachine/>");
  await using disk = await open(join(path, "disk.hdd", "disk.hds"), "w");
  const text = Buffer.alloc(mebibyte, "The quick brown fox jumps over the lazy dog. ");
  for (let n = 0; n < mebibytes; n++) {
    const part = n % 3 === 0 ? Buffer.alloc(mebibyte) : n % 3 === 1 ? randomBytes(mebibyte) : text;
    await disk.write(part);
  }
}

async function md5Of(path: string): Promise<string> {
  const hash = createHash("md5");
  await using file = await open(path);
  for await (const part of file.readableWebStream()) hash.update(part as Uint8Array);
  return hash.digest("hex");
}

async function best(run: () => Promise<void>): Promise<number> {
  const times: number[] = [];
  for (let n = 0; n < runs; n++) {
    execFileSync("sync");
    const began = performance.now();
    await run();
    times.push(performance.now() - began);
  }
  return Math.min(...times);
}

async function untar(path: string, flag: string): Promise<void> {
  const out = join(folder, "out");
  await mkdir(out);
  execFileSync("tar", [flag, path, "-C", out]);
  await rm(out, { recursive: true });
}

async function unpacked(path: string, md5: string | null): Promise<void> {
  const store = folderStore(folder);
  const name = path.slice(folder.length + 1);
  const source = {
    name,
    bytes: (await stat(path)).size,
    read: (range: Parameters<typeof store.read>[1], signal: AbortSignal) => store.read(name, range, signal),
  };
  const targetPath = join(folder, "incoming");
  const signal = new AbortController().signal;
  await unpackArchive({ source, md5, told: { logicalBytes: 0, exact: false }, targetPath, signal });
  await rm(targetPath, { recursive: true });
}
