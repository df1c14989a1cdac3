/** Prefetches: each host by a pull of its own, so that one host's trouble is no other's, and a cancel ends them all. */
import { describe, expect, it } from "vitest";
import { begin } from "./harness.ts";
import { suiteHarness } from "./suite.ts";
import { newWorld, type World } from "./world.ts";

const suite = suiteHarness();
const prefetch = (world: World, atOnce: number) => begin(suite.harness, world, "prefetch", () => ({ atOnce }), { onFault: "fail" });

describe("prefetch", () => {
  it("goes on with the other hosts when one fails, and tells which", async () => {
    const world = newWorld();
    world.endless.add("mac-2:make room");
    world.troubles.set("fetch", { code: "content_corrupt", times: 99 });
    const run = await prefetch(world, 2);
    await run.until(() => world.steps.get("fetch: mac-1") === "failed", "the first host failed");
    expect(world.steps.get("fetch: mac-2")).toBe("running");
    world.troubles.clear();
    await run.handle.cancel();
    await run.ended;
    expect(world.steps.get("fetch: mac-2")).toBe("cancelled");
    expect(world.settled?.outcome).toBe("cancelled");
  });

  it("fetches on no more hosts at once than it may, and is done when all are", async () => {
    const world = newWorld();
    world.endless.add("mac-1:fetch");
    const run = await prefetch(world, 1);
    await run.until(() => world.steps.get("fetch") === "running", "the first host fetches");
    expect([world.steps.get("fetch: mac-1"), world.steps.get("fetch: mac-2")]).toEqual(["running", "pending"]);
    await run.handle.cancel();
    await run.ended;
    expect(world.steps.get("fetch: mac-2")).toBe("cancelled");
    expect([...world.incoming]).toEqual([]);
    const again = newWorld();
    const second = await prefetch(again, 1);
    await second.ended;
    expect(again.settled).toMatchObject({ outcome: "done", result: { hosts: 2, fetched: 2, cached: 0 } });
    expect(again.acted).toEqual(["begin pull on mac-1", "begin pull on mac-2"]);
  });
});
