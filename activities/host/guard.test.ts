import { setTimeout as delay } from "node:timers/promises";
import { afterEach, expect, it, vi } from "vitest";
import { FaultError, type Code } from "../../domain/errors.ts";
import { openPrlctl } from "../../parallels/prlctl.ts";
import { openGuard } from "./guard.ts";
import type { HubLink } from "./hub-link.ts";

/** A hub that counts questions and refuses when it is told to. */
function hub() {
  const world = { asked: 0, refuses: null as Code | null, fence: 1 };
  const grants: HubLink["grants"] = async ({ fence }) => {
    world.asked += 1;
    const { fence: newest, refuses } = world;
    await delay(1);
    const code = refuses ?? (fence !== undefined && fence !== newest ? "fenced" : null);
    if (code !== null) throw new FaultError({ code, message: "no" });
    return { fence: newest, objects: [], ca: null, share: null, sealed: null };
  };
  const refusals: string[] = [];
  const guard = openGuard({ grants }, (operationId) => void refusals.push(operationId));
  return { world, guard, link: guard.link({ grants } as HubLink), refusals };
}

const abort = () => {
  const controller = new AbortController();
  return { operationId: "one", signal: controller.signal, end: (reason: Error) => controller.abort(reason) };
};
const codeOf = (act: () => Promise<unknown>): Promise<unknown> =>
  act().then(
    () => "changed",
    (error: unknown) => (error instanceof FaultError ? error.fault.code : error),
  );
const sleepThrough = (ms: number) => vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + ms });
afterEach(() => void vi.useRealTimers());

it("asks the hub once before the changes of a short attempt, and not at all when the attempt began by asking", async () => {
  const { world, guard, link } = hub();
  await guard.during(abort(), async () => {
    await guard.mayChange();
    await guard.mayChange();
  });
  expect(world.asked).toBe(1);
  await guard.during(abort(), async () => {
    await link.grants({ operationId: "one", begin: true });
    await guard.mayChange();
  });
  expect(world.asked).toBe(2);
});

it.each([
  { what: "a newer attempt began", refuses: null, fence: 2 },
  { what: "the operation ended", refuses: "grant_refused" as const, fence: 1 },
])("refuses whoever slept while $what, and ends the attempt", async ({ refuses, fence }) => {
  const { world, guard, refusals } = hub();
  const attempt = abort();
  await guard.during(attempt, async () => {
    await guard.mayChange();
    sleepThrough(10_000);
    Object.assign(world, { refuses, fence });
    expect(await codeOf(guard.mayChange)).toBe("fenced");
  });
  expect(attempt.signal.aborted).toBe(true);
  expect(refusals).toEqual(["one"]);
});

it("asks again when the answer itself came late", async () => {
  const { world, guard } = hub();
  await guard.during(abort(), async () => {
    const changing = guard.mayChange();
    sleepThrough(10_000);
    world.fence = 2;
    expect(await codeOf(() => changing)).toBe("fenced");
  });
  expect(world.asked).toBe(2);
});

it("refuses every change of Parallels Desktop and none of its questions to what belongs to no attempt", async () => {
  const { guard } = hub();
  const bare = openPrlctl({ prlctlPath: "/nowhere", prlsrvctlPath: "/nowhere" });
  const guarded = guard.prlctl(bare);
  const looking = ["version", "serverInfo", "list", "inventory", "find", "snapshotList", "capture", "exec"];
  const free = Object.entries(bare).flatMap(([name, act]) => (guarded[name as keyof typeof guarded] === act ? [name] : []));
  expect(free.toSorted()).toEqual([...looking, "paths"].toSorted());
  expect(await codeOf(() => guarded.remove("one"))).toBe("internal");
});
