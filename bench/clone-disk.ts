/**
 * A file system that clones files, as a Mac's does, on a loop device: XFS or Btrfs, where this computer has the tools and the right to mount.
 */
import { execFile } from "node:child_process";
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { findExecutable } from "../parallels/locate.ts";

const run = promisify(execFile);
const makers = [
  { kind: "XFS", name: "mkfs.xfs", args: ["-q", "-m", "reflink=1"] },
  { kind: "Btrfs", name: "mkfs.btrfs", args: ["-q"] },
] as const;
/** Neither is made smaller. */
const leastBytes = 512 * 1024 * 1024;

export interface CloneDisk {
  readonly kind: "XFS" | "Btrfs";
  readonly path: string;
  close(): Promise<void>;
}

/** As a sentence, why there is none. */
export async function openCloneDisk(folder: string, bytes: number, path: string): Promise<CloneDisk | string> {
  if (process.platform !== "linux") return "No cloning file system was mounted: loop devices are Linux's.";
  const reasons: string[] = [];
  for (const { kind, name, args } of makers) {
    const tool = await findExecutable(name, path, ["/usr/sbin", "/sbin"]);
    if (tool === null) {
      reasons.push(`there is no ${name}`);
      continue;
    }
    const image = join(folder, `${kind}.image`);
    const at = join(folder, kind);
    try {
      const file = await open(image, "wx");
      await file.truncate(Math.max(bytes, leastBytes)).finally(() => file.close());
      await run(tool, [...args, image]);
      await mkdir(at);
      await run("mount", ["-o", "loop", image, at]);
      return { kind, path: at, close: async () => void (await run("umount", [at])) };
    } catch (error) {
      reasons.push(`${kind} could not be mounted (${String(error).split("\n")[0]?.slice(0, 120)})`);
      await rm(image, { force: true });
      await rm(at, { recursive: true, force: true });
    }
  }
  return `No cloning file system was mounted: ${reasons.join(", ")}.`;
}
