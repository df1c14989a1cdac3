/**
 * What the size of chunks costs, on the same bundle and the same change as `bench:images`: stored bytes, moved bytes, processor time and tables.
 *
 * One thread, no store: every size meets the same bytes, so the columns differ by nothing but the size. Argument: `--gib <n>` (1).
 */
import { hash } from "node:crypto";
import { cp, mkdtemp, open, readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import Table from "cli-table3";
import { removeFolder } from "../images/files.ts";
import { dataExtents } from "../images/native.ts";
import { placeBytes } from "../images/locations.ts";
import { rowBytes } from "../images/tree.ts";
import { builtInCodec, directCodec } from "../images/zstd.ts";
import { changeInput, makeInput } from "./input.ts";

const { values: options } = parseArgs({ options: { gib: { type: "string", default: "1" }, levels: { type: "string", default: "3" } } });
const kibibyte = 1024;
const sizes = [64, 128, 256, 512, 1024, 2048, 4096].map((size) => size * kibibyte);
const mebibyte = kibibyte * kibibyte;

interface Cut {
  readonly names: ReadonlySet<string>;
  readonly rows: number;
  readonly newBytes: number;
  readonly cpuSeconds: number;
}

/** Cuts all files below a folder, and compresses what is not `known`. */
async function cutFolder(
  folder: string,
  { size, level, known }: { size: number; level: number; known: ReadonlySet<string> },
): Promise<Cut> {
  const codec = directCodec(size) ?? builtInCodec;
  const [chunk, into] = [Buffer.alloc(size), Buffer.alloc(size)];
  const zeros = Buffer.alloc(size);
  const names = new Set<string>();
  let [rows, newBytes] = [0, 0];
  const before = process.cpuUsage();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = await open(join(entry.parentPath, entry.name));
    const { size: fileBytes } = await file.stat();
    for (const at of starts(dataExtents(file.fd, fileBytes), size)) {
      const { bytesRead } = await file.read(chunk, 0, size, at);
      const plain = chunk.subarray(0, bytesRead);
      if (zeros.compare(plain, 0, bytesRead, 0, bytesRead) === 0) continue;
      const name = hash("sha256", plain, "base64");
      rows++;
      if (!names.has(name) && !known.has(name))
        newBytes += codec.compress(plain, into.subarray(0, Math.max(0, bytesRead - 1)), level) ?? bytesRead;
      names.add(name);
    }
    await file.close();
  }
  const { user, system } = process.cpuUsage(before);
  return { names, rows, newBytes, cpuSeconds: (user + system) / 1e6 };
}

function starts(extents: readonly { offsetBytes: number; lengthBytes: number }[], size: number): Set<number> {
  const found = new Set<number>();
  for (const { offsetBytes, lengthBytes } of extents)
    for (let at = offsetBytes - (offsetBytes % size); at < offsetBytes + lengthBytes; at += size) found.add(at);
  return found;
}

const root = await mkdtemp(join(tmpdir(), "drover-chunks-"));
try {
  const path = process.env["PATH"] ?? "";
  const input = await makeInput({ folder: join(root, "input"), mebibytes: Math.round(Number(options.gib) * 1024), path });
  const first = join(root, "first");
  await cp(input.bundlePath, first, { recursive: true });
  await changeInput(input, path);
  const table = new Table({
    head: ["chunk KiB", "level", "stored MiB", "delta MiB", "tables KiB", "first push, CPU s", "delta push, CPU s"],
    style: { head: [], border: [] },
  });
  for (const level of options.levels.split(",").map(Number)) {
    for (const size of sizes) {
      const one = await cutFolder(first, { size, level, known: new Set() });
      const two = await cutFolder(input.bundlePath, { size, level, known: one.names });
      const tables = (one.rows * (rowBytes + placeBytes)) / kibibyte;
      const bytes = [one.newBytes, two.newBytes].map((sum) => (sum / mebibyte).toFixed(1));
      table.push([size / kibibyte, level, ...bytes, tables.toFixed(0), one.cpuSeconds.toFixed(2), two.cpuSeconds.toFixed(2)]);
    }
  }
  process.stdout.write(`${table.toString()}\n`);
} finally {
  await removeFolder(root);
}
