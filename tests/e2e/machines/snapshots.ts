/** Snapshots: kept, gone back to, deleted, each once. */
import { describe, expect, it } from "vitest";
import type { OperationDetail } from "../../../cli/wire.ts";
import { stack, prlctl, act, attempt, show } from "./world.ts";

export const describeSnapshots = () =>
  describe("snapshots", () => {
    it("are made, listed as a tree, gone back to and deleted", async () => {
      const created = await stack.json<OperationDetail>("machine", "snapshot", "create", "still", "clean", "--description", "first");
      const clean = String(created.result?.["snapshotId"]);
      // What followers of events are told is what the host saw after it.
      expect(created.result?.["snapshots"]).toMatchObject([{ id: clean, name: "clean", current: true }]);
      const [host] = await stack.json<{ facts: { usage: { memoryBytes: number } } }[]>("host", "list");
      expect(host?.facts.usage.memoryBytes).toBeGreaterThan(0);
      await stack.json("machine", "snapshot", "create", "still", "later");
      const listed = await stack.json<{ id: string; name: string; parentId: string | null; current: boolean }[]>(
        "machine",
        "snapshot",
        "list",
        "still",
      );
      const names = new Map(listed.map(({ name, id, parentId, current }) => [name, { id, parentId, current }]));
      expect(names.get("clean")).toMatchObject({ id: clean, current: false });
      expect(names.get("later")).toMatchObject({ parentId: clean, current: true });
      await stack.json("machine", "snapshot", "revert", "still", "clean");
      const { id } = await show("still");
      expect((await prlctl.snapshotList(id)).find(({ current }) => current)?.id).toBe(clean);
      await stack.json("machine", "snapshot", "delete", "still", clean, "--children");
      expect((await prlctl.snapshotList(id)).filter(({ name }) => name === "clean" || name === "later")).toEqual([]);
      expect((await act("still", { verb: "snapshot-delete", snapshotId: clean, children: false })).state).toBe("done");
      expect(await attempt("still", { verb: "snapshot-revert", snapshotId: clean, resume: true })).toBe("snapshot_not_found");
    }, 180_000);

    it("of a running machine go on running, or stay suspended when told so", async () => {
      await act("work", { verb: "start" });
      const { result } = await act("work", { verb: "snapshot-create", name: "live", description: "" });
      const snapshotId = String(result?.["snapshotId"]);
      await act("work", { verb: "stop", mode: "kill", graceSeconds: 0 });
      await act("work", { verb: "snapshot-revert", snapshotId, resume: false });
      expect(await show("work")).toMatchObject({ observed: "suspended", desired: "suspended" });
      await act("work", { verb: "snapshot-revert", snapshotId, resume: true });
      expect(await show("work")).toMatchObject({ observed: "running", desired: "running" });
      await act("work", { verb: "snapshot-delete", snapshotId, children: false });
    }, 180_000);
  });
