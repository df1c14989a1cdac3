/** Machines from images: fetched where needed, each with an identity of its own, found by what they are. */
import { describe, expect, it } from "vitest";
import { pathOf } from "../../../cli/client.ts";
import { Machine } from "../../../cli/wire.ts";
import { act, host, mebibyte, provision, seen, setWork, show, small, stack, until, withAddress, work } from "./world.ts";

export const describeMaking = () =>
  describe("making machines", () => {
    it("fetches the image first where it is not cached, and gives the machine what was asked for", async () => {
      const words = ["--cpus", "1", "--memory", "512M", "--description", "for 'tests' & more", "--label", "team=ci", "--ttl", "1h"];
      const made = await stack.json<{ operation: { result: { fetchedBytes: number } } }>(
        "machine",
        "create",
        "work",
        "--image",
        "base:1",
        ...words,
      );
      expect(made.operation.result.fetchedBytes).toBeGreaterThan(mebibyte);
      setWork(await show("work"));
      expect(work).toMatchObject({
        observed: "running",
        desired: "running",
        ...small,
        labels: { team: "ci" },
        addresses: [expect.stringMatching(/^10\./)],
      });
      expect((work.expiresAt?.getTime() ?? 0) - Date.now()).toBeGreaterThan(3_000_000);
      expect(await seen(work.id)).toMatchObject({
        name: "work",
        state: "running",
        cpus: 1,
        memoryBytes: small.memoryBytes,
        description: "for 'tests' & more",
      });
    }, 180_000);

    it("leaves a machine stopped when told so, takes the cached image, and shares neither id, MAC nor address with its sibling", async () => {
      const { operation } = await provision({ name: "still", start: false });
      expect(operation.result).toMatchObject({ fetchedBytes: 0, addresses: [] });
      const still = await show("still");
      expect(still).toMatchObject({ observed: "stopped", desired: "stopped", hostId: work.hostId, addresses: [] });
      expect(still.macAddress).toMatch(/^001C42[0-9A-F]{6}$/);
      await act("still", { verb: "start" });
      const { addresses } = await until("still has an address", async () => withAddress(await show("still")));
      expect([still.id, still.macAddress, addresses[0]]).not.toEqual([work.id, work.macAddress, work.addresses[0]]);
      for (const [one, other] of [
        [still.id, work.id],
        [still.macAddress, work.macAddress],
        [addresses[0], work.addresses[0]],
      ])
        expect(one).not.toBe(other);
      await act("still", { verb: "stop", mode: "kill", graceSeconds: 0 });
    }, 180_000);

    it("lists machines by name, host, state and image", async () => {
      const names = async (...filter: string[]) =>
        (await stack.json<{ name: string }[]>("machine", "list", ...filter)).map(({ name }) => name).toSorted();
      expect(await names("--state", "running")).toEqual(["work"]);
      expect(await names("--name", "STILL")).toEqual(["still"]);
      expect(await names("--host", host, "--image", "base/1")).toEqual(["still", "work"]);
      expect(await names("--image", "mac/1")).toEqual([]);
    }, 180_000);

    it("changes labels and description without an operation, and refuses what is neither", async () => {
      const changed = await stack.client.send("PATCH", pathOf("machines", "still"), Machine, {
        body: { labels: { team: "qa" }, description: "another" },
      });
      expect(changed).toMatchObject({ labels: { team: "qa" }, description: "another" });
      expect(await show("still")).toMatchObject({ labels: { team: "qa" }, description: "another" });
      await expect(stack.client.send("PATCH", pathOf("machines", "still"), Machine, { body: { labels: "none" } })).rejects.toMatchObject({
        fault: { code: "invalid_request" },
      });
    });
  });
