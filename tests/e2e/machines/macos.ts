/** macOS machines: at most two run on a Mac, and their addresses come from the guests themselves. */
import { describe, expect, it } from "vitest";
import type { OperationDetail } from "../../../cli/wire.ts";
import { stack, host, provision, act, show, machines, retire, until, anotherReport } from "./world.ts";

export const describeMacOS = () =>
  describe("macOS machines", () => {
    it("are pulled and provisioned up to Apple's limit; the third is refused by name of what is missing", async () => {
      const { id } = await stack.json<{ id: string }>("host", "show", host);
      expect((await stack.json<OperationDetail>("pull", "mac:1", "--host", host)).state).toBe("done");
      const made = await Promise.all(["mac-a", "mac-b"].map((name) => provision({ name, image: "mac", hostId: id })));
      expect(made.map(({ operation }) => operation.state)).toEqual(["done", "done"]);
      const [one, other] = await Promise.all(["mac-a", "mac-b"].map(show));
      expect(one).toMatchObject({ kind: "macvm", observed: "running", addresses: [expect.stringMatching(/^10\./)] });
      expect(one?.addresses).not.toEqual(other?.addresses);
      const third = await provision({ name: "mac-c", image: "mac", hostId: id, waitSeconds: 0 });
      expect(third.operation).toMatchObject({
        state: "failed",
        fault: { code: "no_capacity", message: expect.stringContaining("two macOS machines") },
      });
      expect(await machines("mac-c")).toEqual([]);
    }, 180_000);

    it("keep the address that the hub learned from their guest", async () => {
      const { addresses } = await show("mac-a");
      await anotherReport();
      expect((await show("mac-a")).addresses).toEqual(addresses);
      await act("mac-a", { verb: "restart" });
      await until("the address is known again", async () => (await show("mac-a")).addresses.length > 0);
      for (const name of ["mac-a", "mac-b"]) await retire(name);
    }, 180_000);
  });
