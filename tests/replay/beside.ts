/** What runs beside the verbs of operations and is recorded too: deliveries of webhooks, the keeping of pools, batches of machines. */
import { wakeSignal } from "../../workflows/pools/keep.ts";
import { begin, type Run } from "../workflows/harness.ts";
import { newWorld, type World } from "../workflows/world.ts";
import type { Scenario } from "./scenarios.ts";

const forEver = 99;

const delivery = (how: string, before: (world: World) => void, until: (play: { world: World; run: Run }) => Promise<void>): Scenario => ({
  verb: "deliver",
  how,
  play: async (harness) => {
    const world = newWorld();
    before(world);
    const run = await begin(harness, world, "deliver", () => ({ round: 1, webhook: "ci" }));
    await until({ world, run });
    return run;
  },
});
const failing = (times: number) => (world: World) => void world.troubles.set("send", { code: "internal", times });
const deliveries: readonly Scenario[] = [
  delivery(
    "done",
    () => {},
    ({ run }) => run.ended,
  ),
  delivery("repeated", failing(1), ({ run }) => run.ended),
  delivery(
    "over",
    (world) => void world.forgotten.add("delivery"),
    ({ run }) => run.ended,
  ),
  delivery("waiting", failing(forEver), ({ world, run }) => run.until(() => world.acted.includes("attempt 2"), "it was tried twice")),
];

const looks = (count: number) => (world: World) => world.acted.length >= count;
const keeping = (how: string, before: (world: World) => void, until: (play: { world: World; run: Run }) => Promise<void>): Scenario => ({
  verb: "keepPool",
  how,
  play: async (harness) => {
    const world = newWorld();
    before(world);
    const run = await begin(harness, world, "keepPool", () => ({ pool: "ci" }));
    await until({ world, run });
    return run;
  },
});
const woken = async ({ world, run }: { world: World; run: Run }, look: number) => {
  await run.handle.signal(wakeSignal);
  await run.until(() => looks(look)(world), "it looked again");
};
const pools: readonly Scenario[] = [
  keeping(
    "waiting",
    () => {},
    async ({ world, run }) => {
      await run.until(() => looks(1)(world), "it looked");
      await woken({ world, run }, 2);
      await woken({ world, run }, 3);
    },
  ),
  keeping(
    "done",
    (world) => void world.troubles.set("settle", { code: "internal", times: 1 }),
    async ({ world, run }) => {
      await run.until(() => looks(2)(world), "it looked again after a failure");
      world.forgotten.add("pool");
      await run.handle.signal(wakeSignal);
      await run.ended;
    },
  ),
];

const batch = (how: string, before: (world: World) => void, until: (play: { world: World; run: Run }) => Promise<void>): Scenario => ({
  verb: "provisionMany",
  how,
  play: async (harness) => {
    const world = newWorld();
    before(world);
    const run = await begin(harness, world, "provisionMany", () => ({}));
    await until({ world, run });
    return run;
  },
});
const batches: readonly Scenario[] = [
  batch(
    "done",
    () => {},
    ({ run }) => run.ended,
  ),
  batch(
    "one-fell-out",
    (world) => void world.refusals.set("ci-2", { code: "prlctl_failed", message: "It came to nothing." }),
    ({ run }) => run.ended,
  ),
  batch(
    "not-placed",
    (world) => void world.troubles.set("place many", { code: "image_revoked", times: forEver }),
    ({ run }) => run.ended,
  ),
  batch(
    "cancelled",
    (world) => void world.endless.add("mac-2:make many on mac-2"),
    async ({ run, world }) => {
      await run.until(() => world.acted.includes("record ci-1"), "the first host has ended");
      await run.handle.cancel();
      await run.ended;
    },
  ),
];

export const beside: readonly Scenario[] = [...deliveries, ...pools, ...batches];
