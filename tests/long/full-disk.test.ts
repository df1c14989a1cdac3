/** A disk that is full at 20 random points of a pull: told as `no_space`, nothing sealed, and what had come counts when there is room again. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { imagePaths } from "../../images/layout.ts";
import { pullTree } from "../../images/pull.ts";
import { pushBundle } from "../../images/push.ts";
import { memoryStore } from "../../stores/memory.ts";
import { listTree, makeDisk, makeTree, random, workFolder } from "../images/samples.ts";

const seed = Number(process.env["DROVER_TEST_SEED"] ?? Math.floor(Math.random() * 1e9));
const points = 20;
const mebibyte = 1024 * 1024;
const signal = new AbortController().signal;
const isRoot = process.getuid?.() === 0;

it.skipIf(!isRoot)(`a pull survives a disk that is full at ${points} points (DROVER_TEST_SEED=${seed})`, async () => {
  await using folder = await workFolder();
  const next = random(seed);
  const bundle = join(folder.path, "bundle");
  makeTree(bundle, seed);
  makeDisk(bundle, `full ${seed}`, 24 * mebibyte);
  const wanted = listTree(bundle);
  const store = memoryStore();
  const image = await pushBundle({
    bundlePath: bundle,
    store,
    bases: [],
    journalPath: join(folder.path, "journal"),
    generation: 1,
    signal,
  });
  const mount = join(folder.path, "small");
  mkdirSync(mount);
  for (let point = 0; point < points; point++) {
    const kibibytes = 200 + Math.floor(next() * 22 * 1024);
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${kibibytes}k`, "tmpfs", mount]);
    try {
      const paths = imagePaths(join(mount, "incoming"));
      const pull = () => pullTree({ ...image, store, targetPath: paths.folder, seeds: [], signal });
      await expect(pull(), `${kibibytes} KiB`).rejects.toMatchObject({ fault: { code: "no_space" } });
      expect(existsSync(paths.seal)).toBe(false);
      execFileSync("mount", ["-o", "remount,size=64m", mount]);
      const { fetchedBytes } = await pull();
      expect(listTree(paths.bundle), `${kibibytes} KiB`).toEqual(wanted);
      // What lay on the disk when it was full, less what was on its way, is not fetched again.
      if (kibibytes > 16 * 1024) expect(fetchedBytes).toBeLessThan(image.storedBytes);
      rmSync(paths.folder, { recursive: true });
    } finally {
      execFileSync("umount", ["-l", mount]);
    }
  }
});
