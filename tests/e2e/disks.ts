/** Compares the disks of two bundles as qemu-img sees them: the guest's bytes, whatever the order of the clusters. */
import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "vitest";

export async function expectEqualDisks(one: string, other: string): Promise<void> {
  const argv = ["compare", "-f", "parallels", "-F", "parallels", await diskOf(one), await diskOf(other)];
  const { stdout } = await promisify(execFile)("qemu-img", argv);
  expect(stdout).toContain("Images are identical");
}

async function diskOf(bundlePath: string): Promise<string> {
  const names = await readdir(bundlePath, { recursive: true });
  const disk = names.find((name) => name.endsWith(".hds"));
  if (disk === undefined) throw new Error(`${bundlePath} has no disk`);
  return join(bundlePath, disk);
}
