/**
 * What a guest does to its disk between two versions of an image: files added, changed and removed inside the file system, clusters rewritten in place.
 *
 * The tools are those of others, `debugfs` and `qemu-io`, so that the delta is not made by the code that reads it.
 */
import { execFile } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { hdsToRaw, updateHdsFromRaw } from "../parallels/bundle/raw-disk.ts";
import { clusterBytes, rewriteClusters } from "../parallels/hds.ts";
import { findExecutable } from "../parallels/locate.ts";
import { findTool } from "../parallels/sample/ext4.ts";
import { patternCluster } from "../parallels/sample/pattern.ts";

const run = promisify(execFile);
/** Enough files to choose from, without walking a whole disk by one call per folder. */
const knownFiles = 400;
const knownFolders = 60;
const leastBytes = 4096;

/** Adds one file of so many bytes, removes every fortieth of those looked at and writes every fortieth anew. `false`: no debugfs, or no ext4. */
export async function changeFiles(imagePath: string, { bytes, path }: { bytes: number; path: string }): Promise<boolean> {
  const tool = await findTool("debugfs", path);
  if (tool === null) return false;
  const scratch = await mkdtemp(join(dirname(imagePath), ".guest-"));
  try {
    const raw = join(scratch, "disk.raw");
    await hdsToRaw(imagePath, raw);
    const files = await listFiles(tool, raw);
    if (files.length === 0) return false;
    await writeFile(join(scratch, "new"), randomFillSync(Buffer.allocUnsafe(bytes)));
    const lines = ["cd /", `write ${join(scratch, "new")} added`];
    for (const [n, { folder, name, size }] of files.entries()) {
      if (n % 40 === 7) lines.push(`rm "${folder}${name}"`);
      if (n % 40 !== 21) continue;
      await writeFile(join(scratch, `file-${n}`), patternCluster(`changed ${name}`, n).subarray(0, Math.min(size, clusterBytes)));
      lines.push(`rm "${folder}${name}"`, `cd "${folder}"`, `write ${join(scratch, `file-${n}`)} "${name}"`);
    }
    await writeFile(join(scratch, "edits"), `${lines.join("\n")}\n`);
    await run(tool, ["-w", "-f", join(scratch, "edits"), raw]);
    await updateHdsFromRaw(raw, imagePath);
    return true;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

interface Listed {
  readonly folder: string;
  readonly name: string;
  readonly size: number;
}

async function listFiles(tool: string, raw: string): Promise<Listed[]> {
  const files: Listed[] = [];
  const folders = ["/"];
  for (let looked = 0; folders.length > 0 && looked < knownFolders && files.length < knownFiles; looked++) {
    const folder = folders.shift() ?? "/";
    const { stdout } = await run(tool, ["-R", `ls -p "${folder}"`, raw], { maxBuffer: 1 << 26 });
    for (const line of stdout.split("\n")) {
      // `/inode/mode/uid/gid/name/size/`; the size of a folder is empty.
      const [, inode = "0", mode = "", , , name = "", size = ""] = line.split("/");
      if (inode === "0" || !/^[\w.+-]+$/.test(name) || name.startsWith(".") || name === "lost+found") continue;
      if (mode.startsWith("04")) folders.push(`${folder}${name}/`);
      else if (mode.startsWith("10") && Number(size) >= leastBytes) files.push({ folder, name, size: Number(size) });
    }
  }
  return files;
}

/** Rewrites these clusters of an expanding disk. Answers who did: `qemu-io` where it is to be had. */
export async function rewriteInPlace(imagePath: string, clusters: readonly number[], path: string): Promise<"qemu-io" | "ourselves"> {
  const tool = await findExecutable("qemu-io", path, []);
  const content = (cluster: number) => patternCluster("changed", cluster);
  if (tool === null) {
    await rewriteClusters(
      imagePath,
      (function* () {
        for (const cluster of clusters) yield [cluster, content(cluster)] as const;
      })(),
    );
    return "ourselves";
  }
  const scratch = await mkdtemp(join(dirname(imagePath), ".qemu-"));
  try {
    const before = (await stat(imagePath)).size;
    const args = ["-f", "parallels"];
    for (const cluster of clusters) {
      await writeFile(join(scratch, `${cluster}`), content(cluster));
      args.push("-c", `write -s ${join(scratch, `${cluster}`)} ${cluster * clusterBytes} ${clusterBytes}`);
    }
    await run(tool, [...args, imagePath], { maxBuffer: 1 << 26 });
    if ((await stat(imagePath)).size < before) throw new Error(`qemu-io left ${imagePath} shorter than it was.`);
    return "qemu-io";
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
