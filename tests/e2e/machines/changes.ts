/** What a machine is changed into, and what is made of it: sizes, names, clones. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { refusalOf } from "../faults.ts";
import { stack, prlctl, mebibyte, work, provision, small, act, attempt, show, machines, seen, retire, foreignMachine } from "./world.ts";

export const describeChanges = () =>
  describe("changes", () => {
    it("configures size, description and an option of Parallels Desktop", async () => {
      await stack.json(
        "machine",
        "configure",
        "still",
        "--cpus",
        "2",
        "--memory",
        "1G",
        "--description",
        "line one\nline two",
        "--set",
        "startup-view=headless",
      );
      const { id } = await show("still");
      const vm = await seen(id);
      expect(vm).toMatchObject({ cpus: 2, memoryBytes: 1024 * mebibyte, description: "line one\nline two" });
      expect(vm?.raw["Startup and Shutdown"]).toMatchObject({ "Startup view": "headless" });
      expect(await show("still")).toMatchObject({ vcpus: 2, memoryBytes: 1024 * mebibyte, description: "line one\nline two" });
    }, 180_000);

    it("renames a stopped machine, whose old name is free for another, and refuses a running one", async () => {
      await stack.json("machine", "rename", "still", "quiet");
      const { id, bundlePath } = await show("quiet");
      expect(await seen(id)).toMatchObject({ name: "quiet", bundlePath });
      expect((await provision({ name: "still", start: false })).operation.state).toBe("done");
      await act("work", { verb: "start" });
      expect(await refusalOf(stack, "machine", "rename", "work", "other")).toMatchObject({
        code: "machine_state",
        message: expect.stringContaining("running"),
      });
      expect(await refusalOf(stack, "machine", "rename", "still", "QUIET")).toMatchObject({ code: "machine_exists" });
    }, 180_000);

    it("clones in full: a machine of its own, with the same disk and another MAC, while the source keeps its own", async () => {
      await act("work", { verb: "stop", mode: "kill", graceSeconds: 0 });
      const source = await seen(work.id);
      await stack.json("machine", "clone", "work", "copy");
      const copy = await show("copy");
      expect(copy).toMatchObject({ origin: "clone", observed: "stopped", ...small });
      expect(copy.macAddress).not.toBe(work.macAddress);
      expect(await seen(work.id)).toMatchObject({ macAddress: source?.macAddress });
      expect(await prlctl.snapshotList(work.id)).toEqual([]);
      await act("copy", { verb: "start" });
      expect((await seen(copy.id))?.state).toBe("running");
      await retire("copy");
    }, 180_000);

    it("clones linked, once for each request, and leaves nothing of a clone that was retired", async () => {
      await stack.json("machine", "clone", "still", "linked", "--linked");
      const linked = await show("linked");
      const disk = (await readdir(linked.bundlePath ?? "")).find((name) => name.endsWith(".hdd")) ?? "";
      expect(await readFile(join(linked.bundlePath ?? "", disk, "DiskDescriptor.xml"), "utf8")).toContain((await show("still")).bundlePath);
      expect((await prlctl.list()).filter(({ name }) => name === "linked").map(({ id }) => id)).toEqual([linked.id]);
      await act("linked", { verb: "start" });
      expect((await seen(linked.id))?.state).toBe("running");
      const source = (await show("still")).id;
      const [carrying, ...others] = await prlctl.snapshotList(source);
      expect(others).toEqual([]);
      expect(await attempt("still", { verb: "snapshot-delete", snapshotId: carrying?.id ?? "", children: false })).toBe("machine_state");
      await retire("linked");
      expect(await stat(linked.bundlePath ?? "").catch(() => null)).toBeNull();
      expect(await prlctl.snapshotList(source)).toEqual([]);
    }, 180_000);

    it("refuses a clone under a name that is taken, on the hub or only on the host, and takes no machine away from its owner", async () => {
      expect(await refusalOf(stack, "machine", "clone", "still", "WORK")).toMatchObject({ code: "machine_exists" });
      const foreign = await foreignMachine("Theirs");
      for (const linked of [false, true]) expect(await attempt("still", { verb: "clone", name: "Theirs", linked })).toBe("machine_exists");
      expect(await seen(foreign.id)).toMatchObject({ name: "Theirs", bundlePath: foreign.bundlePath });
      expect(await machines("Theirs")).toEqual([]);
      await prlctl.remove(foreign.id);
    }, 180_000);

    it("makes one of two clones that are asked of one source at once, and tells the other who holds it", async () => {
      const answers = await Promise.all(["twin-1", "twin-2"].map((name) => attempt("still", { verb: "clone", name, linked: false })));
      expect(answers.toSorted()).toEqual(["done", "machine_busy"]);
      for (const name of ["twin-1", "twin-2"]) if ((await machines(name)).length > 0) await retire(name);
    }, 180_000);
  });
