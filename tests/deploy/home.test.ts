/** Guarantees of the folder of state: one holder at a time, and a full disk is told before anything is written. */
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openHome } from "../../deploy/home.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "drover-home-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("a home", () => {
  it("has one holder at a time, also when many want it at once", async () => {
    const home = join(folder, "home");
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => openHome(home)));
    const won = outcomes.filter((outcome) => outcome.status === "fulfilled");
    expect(won).toHaveLength(1);
    await won[0]?.value.release();
    const again = await openHome(home);
    expect(again.unclean).toBe(false);
    await again.release();
    expect(await readdir(home)).toEqual(["format.json"]);
  });

  it("is taken over from a holder that is dead, even when its process id lives again", async () => {
    const home = join(folder, "home");
    await (await openHome(home)).release();
    await writeFile(join(home, "supervisor.json"), JSON.stringify({ pid: process.pid, began: "another time" }));
    const taken = await openHome(home);
    expect(taken.unclean).toBe(true);
    await taken.release();
  });
});

/** Only root may mount a small disk. */
const disk = process.platform === "linux" && process.getuid?.() === 0;

describe.runIf(disk)("a full disk", () => {
  it("is told with what is free and what is needed, and nothing is written", async () => {
    const mounted = join(folder, "disk");
    await mkdir(mounted);
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", mounted]);
    try {
      await expect(openHome(join(mounted, "home"))).rejects.toMatchObject({
        fault: { code: "disk_full", message: expect.stringContaining("is full: 8 MB are free, and a start needs 300 MB") },
      });
      expect(await readdir(join(mounted, "home"))).toEqual([]);
    } finally {
      execFileSync("umount", [mounted]);
    }
  });
});
