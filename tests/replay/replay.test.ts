/**
 * Every recorded history, of this release and of those before, replayed under the code as it is: what runs or is parked when the hub is upgraded goes on.
 *
 * A failure here means that operations under way would be stuck: keep the old order of commands, or put the change behind `patched`.
 */
import { Worker, type WorkflowBundleOption } from "@temporalio/worker";
import { beforeAll, describe, expect, it } from "vitest";
import { verbs } from "../../domain/operations/rules.ts";
import { bundleOf, ownBundle } from "../workflows/harness.ts";
import { historyNames, readHistories } from "./histories.ts";
import { everyWay, nameOf, scenarios } from "./scenarios.ts";

const names = await historyNames();

/** What a replay finds wrong, by history. */
async function replayed(workflowBundle: WorkflowBundleOption, chosen: readonly string[]): Promise<Map<string, string | undefined>> {
  const found = new Map<string, string | undefined>();
  for await (const { workflowId, error } of Worker.runReplayHistories({ workflowBundle }, readHistories(chosen)))
    found.set(workflowId, error?.message);
  return found;
}

describe("the code as it is", () => {
  let found: Map<string, string | undefined>;
  beforeAll(async () => {
    found = await replayed(await ownBundle(), names);
  }, 180_000);

  it.each(names)("goes on with %s", (name) => {
    expect(found.has(name)).toBe(true);
    expect(found.get(name)).toBeUndefined();
  });
});

it.each(verbs)("%s was recorded in every way that an operation can go", (verb) => {
  const recorded = new Set(names.map((name) => name.split("/")[1]));
  for (const how of everyWay) expect(recorded).toContain(nameOf({ verb, how }));
});

it("has recorded every scenario", () => {
  const recorded = new Set(names.map((name) => name.split("/")[1]));
  expect(scenarios.map(nameOf).filter((name) => !recorded.has(name))).toEqual([]);
});

describe("a change of a workflow", () => {
  const pushes = names.filter((name) => name.includes("/push."));
  const next = (name: string) => new URL(`next/${name}.ts`, import.meta.url).pathname;

  it("is found by the replay when it does not ask `patched`", async () => {
    const found = await replayed(await bundleOf(next("unpatched")), pushes);
    expect([...found.values()].filter((error) => error === undefined)).toEqual([]);
  }, 180_000);

  it("leaves what began before it alone when it asks `patched`", async () => {
    const found = await replayed(await bundleOf(next("patched")), pushes);
    expect([...found].filter(([, error]) => error !== undefined)).toEqual([]);
  }, 180_000);
});
