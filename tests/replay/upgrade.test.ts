/**
 * The hub is upgraded and downgraded while a hundred operations run, to a release whose push does one thing more.
 *
 * The one idea: the operations wait at a gate, so what runs when the workers change is known and not a matter of luck.
 */
import { afterAll, beforeAll, expect, inject, it } from "vitest";
import { verbs, type Verb } from "../../domain/operations/rules.ts";
import { beating, begin, bundleOf, openHarness, type Harness, type Run } from "../workflows/harness.ts";
import { newWorld, type World } from "../workflows/world.ts";
import { asked, workflowType } from "./scenarios.ts";

let harness: Harness;
beforeAll(async () => {
  harness = await openHarness(inject("temporalAddress"));
}, 180_000);
afterAll(() => harness.close());

interface Begun {
  readonly verb: Verb;
  readonly world: World;
  readonly run: Run;
  readonly open: () => void;
}

/** Starts operations of all verbs in turn; the hosts' part of each waits until its gate is opened. */
const beginMany = (count: number): Promise<Begun[]> =>
  Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const verb = verbs[index % verbs.length] ?? "push";
      const gate = Promise.withResolvers<void>();
      const world = newWorld(() => beating(() => gate.promise));
      world.machines.set("m", { host: "mac-1", state: "running", epoch: 1 });
      const run = await begin(harness, world, workflowType(verb), (host) => asked(verb, host));
      return { verb, world, run, open: gate.resolve };
    }),
  );

/** A verb that is the hub's alone has no gate: it may have ended before it was looked at. */
const atTheGate = ({ world, run }: Begun) =>
  run.until(() => world.settled !== null || [...world.steps.values()].includes("running"), "a step runs");
const settled = async (some: readonly Begun[]) => {
  for (const { open } of some) open();
  await Promise.all(some.map(({ run }) => run.ended));
};

/** What one operation that was done once leaves behind. */
function expectDoneOnce({ verb, world }: Begun): void {
  expect(world.settled).toMatchObject({ outcome: "done" });
  if (verb === "push") expect(world.published).toEqual(["1.0"]);
  if (workflowType(verb) === "operate") expect(world.acted.filter((act) => act === verb)).toEqual([verb]);
}

/** A worker that does not understand an operation's history fails its task, which is tried again for ever. */
async function failedTasks({ run }: Begun): Promise<number> {
  const { events } = await run.handle.fetchHistory();
  return (events ?? []).filter((event) => event.workflowTaskFailedEventAttributes).length;
}

it("ends all operations right, each done once, when the hub goes to the next release and back while they run", async () => {
  const here = harness.workflowBundle;
  const next = await bundleOf(new URL("next/patched.ts", import.meta.url).pathname);
  const first = await beginMany(100);
  await Promise.all(first.map(atTheGate));

  await harness.replaceHub(next);
  await settled(first.slice(0, 50));
  const later = await beginMany(20);
  await Promise.all(later.map(atTheGate));

  await harness.replaceHub(here);
  await settled(first.slice(50));
  // What began under the next release and did what only that one knows waits for it; everything else goes on.
  const [own, others] = [later.filter(({ verb }) => verb === "push"), later.filter(({ verb }) => verb !== "push")];
  await settled(others);
  for (const { open } of own) open();
  await Promise.all(
    own.map((push) => push.run.until(async () => (await failedTasks(push)) > 0, "the older release meets what it does not know")),
  );
  expect(own.map(({ world }) => world.settled)).toEqual(own.map(() => null));

  await harness.replaceHub(next);
  await settled(own);
  [...first, ...later].forEach(expectDoneOnce);
  expect(await Promise.all([...first, ...others].map(failedTasks))).toEqual([...first, ...others].map(() => 0));
}, 180_000);
