/**
 * What is true after a host was away for long, and after the database was restored from an hour ago.
 *
 * The one idea: nothing is asked for in between. The stack finds out by itself, and nothing that runs is stopped or removed for it.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Client, Connection } from "@temporalio/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { controlSimulator, usualControl } from "../../parallels/simulator/control.ts";
import { operationUntil, settled, simulatorOf } from "../e2e/faults.ts";
import { openStack, ownServers, type TestStack } from "../e2e/stack.ts";
import { keepDatabase } from "../truth/template.ts";
import { openTruth, within, type World } from "../truth/world.ts";

const host = "mac-1";
const small = ["--image", "base:1", "--cpus", "1", "--memory", "512M"];
let stack: TestStack;
let world: World;
let hostId = "";
beforeAll(async () => {
  stack = await openStack({ ...(await ownServers()), DROVER_HOSTS: "1" });
  world = await openTruth(stack);
  hostId = (await stack.json<{ id: string }>("host", "show", host)).id;
}, 300_000);
afterAll(() => stack?.close(), 60_000);

interface Started {
  readonly id: string;
  readonly workflowId: string;
}
const start = (...words: string[]) => stack.json<Started>("machine", "create", ...words, ...small, "--detach");
const namesOf = async (subject: string) => (await world.events(subject)).map(({ name }) => name);

describe("a host that is silent", () => {
  it("is late, then lost, each told once; its machines are unknown, and true again within 5 s of its return", async () => {
    const { id } = await world.make("quiet");
    const before = (await namesOf(hostId)).length;
    const pid = stack.stack.pids()[host] ?? 0;
    process.kill(pid, "SIGSTOP");
    try {
      await within("unknown", async () => (await world.show("quiet")).observed === "unknown", 45_000);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    await within("true again", async () => (await world.show("quiet")).observed === "running", 5_000);
    expect((await namesOf(hostId)).slice(before)).toEqual(["host.late", "host.lost", "host.online"]);
    expect(await world.show(id)).toMatchObject({ desired: "running", drift: [] });
    await stack.json("machine", "retire", "quiet", "--force");
  }, 120_000);
});

describe("a database that was restored from an hour ago", () => {
  it("finds what is there: orphans to adopt, absent ones to retire, operations as Temporal knows them, and no host lost", async () => {
    const [kept, gone] = [await world.make("kept"), await world.make("gone", ["--no-start"])];
    // Long enough to be under way when the copy is made, and done when it is put back.
    controlSimulator(simulatorOf(stack, host), { times: { startMs: 8_000 } });
    const half = await start("half");
    await operationUntil(stack, half.id, ({ steps }) => steps.some(({ name, state }) => name === "start" && state === "running"));
    const database = await keepDatabase(stack.env["DATABASE_URL"] ?? "");

    await answering();
    expect(await settled(stack, half.id, 60_000)).toMatchObject({ state: "done" });
    controlSimulator(simulatorOf(stack, host), { ...usualControl });
    const since = await world.make("since");
    await stack.json("machine", "retire", "gone", "--force");
    await stack.json("machine", "stop", "kept", "--force");
    controlSimulator(simulatorOf(stack, host), { times: { startMs: 15_000 } });
    const unknown = await start("unknown-to-the-hub");
    await operationUntil(stack, unknown.id, ({ steps }) => steps.some(({ name, state }) => name === "start" && state === "running"));
    await database.restore("update hosts set last_report_at = last_report_at - interval '1 hour'");
    controlSimulator(simulatorOf(stack, host), { ...usualControl });

    await answering();
    const orphan = await within("an orphan", async () => (await world.orphans()).find(({ id }) => id === since.id));
    expect(orphan).toMatchObject({ standing: "orphan", name: "since", state: "running" });
    await within("absent", async () => (await world.show("gone")).drift.some(({ kind }) => kind === "absent"));
    await within("stopped since", async () => (await world.show("kept")).desired === "stopped");
    await within(
      "done as Temporal knows",
      async () => (await world.operations((await world.show("half")).id, "provision"))[0]?.state === "done",
    );
    await within("running as its host knows", async () => (await world.show("half")).observed === "running");
    expect((await namesOf(hostId)).filter((name) => name === "host.lost")).toHaveLength(1);
    await hasFailed(unknown.workflowId);

    await stack.json("machine", "adopt", since.id);
    expect(await world.show("since")).toMatchObject({ id: since.id, origin: "adopted", observed: "running" });
    await stack.json("machine", "retire", gone.id);
    await stack.json("machine", "start", "kept");
    expect(await world.show(kept.id)).toMatchObject({ desired: "running", observed: "running" });
    const late = await within("what nobody remembers", async () =>
      (await world.orphans()).find(({ name }) => name === "unknown-to-the-hub"),
    );
    await stack.json("machine", "retire", late.id);
    for (const name of ["since", "kept", "half"]) await stack.json("machine", "retire", name, "--force");
    await within("nothing is left", async () => (await world.orphans()).length === 0);
  }, 300_000);
});

/** The hub answers again; what is promised is counted from then on. */
async function answering(): Promise<void> {
  for (const end = Date.now() + 60_000; ; await delay(200)) {
    const { code } = await stack.drover("machine", "list", "--json");
    if (code === 0) return;
    if (Date.now() > end) throw new Error("the hub does not answer any more");
  }
}

/** A workflow that the database does not know ends by itself. */
async function hasFailed(workflowId: string): Promise<void> {
  const connection = await Connection.connect({ address: stack.env["TEMPORAL_ADDRESS"] ?? "" });
  const client = new Client({ connection, namespace: stack.env["TEMPORAL_NAMESPACE"] ?? "" });
  try {
    const handle = client.workflow.getHandle(workflowId);
    await within("its workflow ends", async () => (await handle.describe()).status.name === "FAILED", 60_000);
  } finally {
    await connection.close();
  }
}
