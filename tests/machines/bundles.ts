/** Compares a machine's bundle with the image that it was made of: all that a guest can see is the same. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";

/** What Parallels Desktop writes when it takes a machine in, and our own mark. */
const ofTheMachine = /^(config\.pvs|drover\.json|VmInfo\.pvi|parallels\.log|NVRAM\.dat)/;

export async function expectEqualBundles(one: string, other: string): Promise<void> {
  expect(await hashes(other)).toEqual(await hashes(one));
}

async function hashes(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const named = files.map((path) => path.slice(folder.length + 1)).filter((name) => !ofTheMachine.test(name));
  const hashed = named.toSorted().map(async (name) => [
    name,
    createHash("sha256")
      .update(await readFile(join(folder, name)))
      .digest("hex"),
  ]);
  return Object.fromEntries(await Promise.all(hashed)) as Record<string, string>;
}
