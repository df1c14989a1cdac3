/** What is seen of machines from outside: their screens, and other people's machines. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { stack, prlctl, machines, seen, until, foreignMachine, anotherReport, wire } from "./world.ts";

export const describeSeen = () =>
  describe("what else is seen of machines", () => {
    it("captures the screen as a PNG", async () => {
      const file = join(stack.home, "screen.png");
      await stack.json("machine", "capture", "work", file);
      const png = await readFile(file);
      expect(png.subarray(0, 8)).toEqual(Buffer.from("89504e470d0a1a0a", "hex"));
      expect(png.subarray(-8, -4).toString()).toBe("IEND");
    }, 180_000);

    it("shows a foreign machine in the contract's list, and never touches it", async () => {
      const foreign = await foreignMachine("Private");
      const list = async () => (await wire("/machines")) as { ID: string; Name: string }[];
      await until("the foreign machine is listed", async () => (await list()).some(({ ID }) => ID === foreign.id));
      expect(await machines("Private")).toEqual([]);
      const before = await readFile(join(foreign.bundlePath, "config.pvs"), "utf8");
      await anotherReport();
      expect(await readFile(join(foreign.bundlePath, "config.pvs"), "utf8")).toBe(before);
      expect(await seen(foreign.id)).toMatchObject({ state: "stopped" });
      await prlctl.remove(foreign.id);
    }, 180_000);
  });
