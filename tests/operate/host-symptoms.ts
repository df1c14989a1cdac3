/** What a host's disk can do to images and machines, and how an operator mends it. */
import { execFile } from "node:child_process";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { cacheOf, decide, machineFolderOf, onDiskOf, parkedAt, settled } from "../e2e/faults.ts";
import { host, small, type World } from "./world.ts";

const run = promisify(execFile);
/** Without the right to mount, no disk can be made full without filling the computer's own. */
const mayMount = process.platform === "linux" && process.getuid?.() === 0;
const mebibyte = 1024 ** 2;

export function fullDiskSymptoms(world: () => World): void {
  const section = "A host's disk is full";
  describe.skipIf(!mayMount)("a full disk (needs the right to mount)", () => {
    it("parks a pull that finds no room, and lets it go on once an operator made some", async () => {
      const { stack, start, type } = world();
      const cache = cacheOf(stack, host);
      await withDisk(cache, "size=32m", async () => {
        await writeFile(join(cache, "backup.dmg"), Buffer.alloc(24 * mebibyte, 1));
        const pull = await start("pull", "wanted:1", "--host", host);
        expect(await parkedAt(stack, pull.id)).toEqual({ step: "make room", code: "no_space" });
        await type(section, `drover operation show ${pull.id}`);
        await type(section, `df -h .drover/hosts/${host}/cache`);
        await type(section, `rm .drover/hosts/${host}/cache/backup.dmg`);
        await type(section, `drover operation retry ${pull.id} --quiet`);
        const { state, result } = await settled(stack, pull.id);
        expect(state).toBe("done");
        expect(await onDiskOf(stack, host)).toMatchObject({ cached: [result?.["digest"]], incoming: [] });
      });
    }, 180_000);

    it("parks a pull whose disk fills up meanwhile, and lets it go on once there is space", async () => {
      const { stack, start } = world();
      await withDisk(cacheOf(stack, host), "size=128m,nr_inodes=6", async (mend) => {
        const pull = await start("pull", "wanted:1", "--host", host);
        expect(await parkedAt(stack, pull.id)).toEqual({ step: "fetch", code: "no_space" });
        expect((await onDiskOf(stack, host)).cached).toEqual([]);
        await mend("nr_inodes=1000");
        await decide(stack, pull.workflowId, "retry");
        expect(await settled(stack, pull.id)).toMatchObject({ state: "done" });
      });
    }, 180_000);

    it("leaves nothing of a pull that an operator aborts", async () => {
      const { stack, start, type } = world();
      await withDisk(cacheOf(stack, host), "size=128m,nr_inodes=6", async () => {
        const pull = await start("pull", "wanted:1", "--host", host);
        await parkedAt(stack, pull.id);
        await type(section, `drover operation abort ${pull.id} --quiet`);
        expect(await settled(stack, pull.id)).toMatchObject({ state: "failed", fault: { code: "operation_aborted" } });
        expect(await onDiskOf(stack, host)).toMatchObject({ cached: [], incoming: [] });
      });
    }, 180_000);

    it.each([
      { what: "is full in the middle of the copy", room: async () => 4 },
      { what: "has room for the copy and for nothing more", room: () => entriesOfImage(world()) },
    ])(
      "parks a machine whose disk $what, and a cancel then leaves nothing of it",
      async ({ room }) => {
        const { stack, start } = world();
        await withDisk(machineFolderOf(stack, host), `size=1g,nr_inodes=${await room()}`, async () => {
          const { id } = await start("machine", "create", "cramped", "--image", "base:1", ...small);
          expect(await parkedAt(stack, id)).toEqual({ step: "clone", code: "no_space" });
          await stack.json("operation", "cancel", id);
          expect((await onDiskOf(stack, host)).bundles).toEqual([]);
          expect(await stack.json("machine", "list")).toEqual([]);
        });
      },
      180_000,
    );
  });
}

/** As many files and folders as a copy of the image needs, on a disk whose root counts as one. */
async function entriesOfImage({ stack, before }: World): Promise<number> {
  const [digest = ""] = before.cached;
  const entries = await readdir(join(cacheOf(stack, host), digest, "bundle"), { recursive: true });
  return entries.length + 2;
}

/** A small disk in place of a folder; `mend` changes it while it is in use, as an operator who makes room. */
async function withDisk(folder: string, options: string, work: (mend: (options: string) => Promise<void>) => Promise<void>): Promise<void> {
  await run("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder]);
  try {
    await work(async (changed) => void (await run("mount", ["-o", `remount,${changed}`, folder])));
  } finally {
    // Lazily: a report that lists the folder right now does not keep it.
    await run("umount", ["-l", folder]);
  }
}
