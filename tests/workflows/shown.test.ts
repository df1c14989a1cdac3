/** Guarantees of what the Temporal web UI shows: which step runs, what it waits for, what to send; findable, bounded, and also after the end. */
import { expect, it } from "vitest";
import { hostLostSignal } from "../../workflows/host-loss.ts";
import { decisions } from "../../workflows/parking.ts";
import { begin, type Run } from "./harness.ts";
import { suiteHarness } from "./suite.ts";
import { newWorld, type World } from "./world.ts";

const suite = suiteHarness();

const push = (world: World, options = {}) =>
  begin(suite.harness, world, "push", (host) => ({ hostId: host("mac-1"), path: "/vm/base.pvm" }), options);
const provision = (world: World, options = {}) => begin(suite.harness, world, "provision", () => ({ machineId: "m" }), options);
const parked = (run: Run, world: World, step: string) => run.until(() => world.steps.get(step) === "parked", `${step} is parked`);

const detailsOf = async ({ handle }: Run): Promise<string> => {
  const { currentDetails } = await handle.query<{ currentDetails: string }>("__temporal_workflow_metadata");
  return currentDetails;
};
async function attributeOf({ handle }: Run, name: string): Promise<unknown> {
  const found = (await handle.describe()).typedSearchAttributes.getAll().find(({ key }) => key.name === name);
  return found?.value;
}
async function summariesOf({ handle }: Run): Promise<Record<"activity" | "local" | "timer", string[]>> {
  const { events = [] } = await handle.fetchHistory();
  const told = { activity: [] as string[], local: [] as string[], timer: [] as string[] };
  for (const event of events ?? []) {
    const kind = event.activityTaskScheduledEventAttributes
      ? "activity"
      : event.timerStartedEventAttributes
        ? "timer"
        : event.markerRecordedEventAttributes?.markerName === "core_local_activity"
          ? "local"
          : null;
    if (kind) told[kind].push(Buffer.from(event.userMetadata?.summary?.data ?? []).toString());
  }
  return told;
}

it("says what a parked step waits for and what to send, and the outcome after the end; every activity and timer says its step", async () => {
  const world = newWorld();
  world.troubles.set("check store", { code: "store_denied", times: 1 });
  const run = await push(world);
  await parked(run, world, "check store");
  const details = await detailsOf(run);
  for (const words of [
    "**check store waits for an operator**",
    "check store met store_denied. (`store_denied`)",
    "Renew the store's credentials",
    "- upload: done",
    `    drover operation retry ${run.operationId}`,
    `    temporal workflow update execute --namespace ${suite.harness.client.options.namespace} --workflow-id '${run.handle.workflowId}' --name retry`,
    "Without a word it is aborted at 20",
  ])
    expect(details).toContain(words);
  expect(details).not.toContain("operation skip");
  await run.until(async () => (await attributeOf(run, "DroverParked")) === "store_denied", "the parked operation is found by its code");

  await run.handle.executeUpdate(decisions.retry);
  await run.ended;
  expect(await detailsOf(run)).toMatch(/: done\n[^]*- check store: done\n- publish: done\n\n[^]*- image: sonoma\/1\.0\/arm64/);
  await run.until(async () => (await attributeOf(run, "DroverParked")) === undefined, "nothing is parked any more");
  expect(await attributeOf(run, "DroverImage")).toBe("sonoma/1.0/arm64");
  const { activity, local, timer } = await summariesOf(run);
  expect(activity).toContain('"upload: /vm/base.pvm"');
  const saysItsStep = /^"[a-z ]+: .+"$/;
  expect(activity.filter((summary) => saysItsStep.test(summary))).toHaveLength(activity.length);
  expect(local.filter((summary) => saysItsStep.test(summary) || /^"(record|settle) /.test(summary))).toHaveLength(local.length);
  expect(timer).toEqual(['"park limit: check store"']);
}, 180_000);

it("aborts at the park limit, takes back what was done, and says that it was the limit", async () => {
  const world = newWorld();
  world.troubles.set("answers", { code: "tools_unavailable", times: 99 });
  const run = await provision(world, { parkLimitMs: 300 });
  await run.ended;
  expect(world.settled).toMatchObject({
    outcome: "failed",
    fault: {
      code: "operation_aborted",
      message: "The step answers was aborted because nobody mended it within the park limit of 0.3 s: answers met tools_unavailable.",
    },
  });
  expect([...world.machines.keys(), ...world.placed.keys()]).toEqual([]);
  expect(await detailsOf(run)).toMatch(/: failed\n[^]*within the park limit/);
}, 180_000);

it("leaves out one step after another by `skip`, and takes all back by `abort`", async () => {
  const world = newWorld();
  world.troubles.set("address", { code: "address_missing", times: 99 });
  world.troubles.set("answers", { code: "tools_unavailable", times: 99 });
  const run = await provision(world);
  await parked(run, world, "address");
  expect(await detailsOf(run)).toContain(`drover operation skip ${run.operationId}`);
  await run.handle.executeUpdate(decisions.skip);
  await parked(run, world, "answers");
  expect(world.steps.get("address")).toBe("skipped");
  await run.handle.executeUpdate(decisions.abort);
  await run.ended;
  expect([...world.machines.keys(), ...world.placed.keys()]).toEqual([]);
  expect(world.settled).toMatchObject({ outcome: "failed", fault: { code: "operation_aborted" } });
}, 180_000);

it("is found by the host where it is now, also after it was placed again", async () => {
  const world = newWorld();
  world.endless.add("mac-1:register");
  const run = await provision(world);
  await run.until(async () => (await attributeOf(run, "DroverHost")) === run.hosts["mac-1"], "the first host is shown");
  await run.handle.signal(hostLostSignal, run.hosts["mac-1"]);
  await run.ended;
  await run.until(async () => (await attributeOf(run, "DroverHost")) === run.hosts["mac-2"], "the second host is shown");
}, 180_000);

it("stays small whatever a fault says", async () => {
  const world = newWorld();
  const message = `A long story.\n${"word ".repeat(20_000)}`;
  world.troubles.set("check store", { code: "store_denied", times: 9, message });
  const run = await push(world);
  await parked(run, world, "check store");
  expect((await detailsOf(run)).length).toBeLessThan(4_000);
}, 180_000);
