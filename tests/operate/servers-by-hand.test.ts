/**
 * What an operator may do to workflows and activities by hand, in the web UI or with the stock `temporal` command: every operation ends right, nothing is
 * done twice, nothing is left for ever.
 */
import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Client, Connection } from "@temporalio/client";
import type proto from "@temporalio/proto";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { OperationDetail } from "../../cli/wire.ts";
import { controlSimulator, usualControl } from "../../parallels/simulator/control.ts";
import { expectNothingLeft, moving, onDiskOf, operation, parkedAt, running, sampleIn, settled, simulatorOf } from "../e2e/faults.ts";
import { openStack, ownServers, type TestStack } from "../e2e/stack.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

type EventId = NonNullable<proto.temporal.api.history.v1.IHistoryEvent["eventId"]>;

const host = "mac-1";
const small = ["--image", "base:1", "--cpus", "1", "--memory", "512M"];
/** The sweep looks every 5 s, a host asks as often what lies there in vain. */
const sweptWithinMs = 60_000;
/** Seconds on a quiet computer. */
const begunWithinMs = 60_000;

let stack: TestStack;
let terminal: Terminal;
let temporal: Client;
let bundle = "";
let before: { bundles: string[]; cached: string[] };

beforeAll(async () => {
  // Slow enough that whoever types a command finds a transfer in its middle.
  const slow = { DROVER_TRANSFER_BANDWIDTH: "8M" };
  stack = await openStack({ ...(await ownServers()), DROVER_HOSTS: "1", DROVER_BOOT_LIMIT: "3s", ...slow });
  terminal = await openTerminal(stack);
  const connection = await Connection.connect({ address: stack.env["TEMPORAL_ADDRESS"] ?? "" });
  temporal = new Client({ connection, namespace: stack.env["TEMPORAL_NAMESPACE"] ?? "" });
  await stack.json("push", await sampleIn(stack, "own", "base", 8), "base", "--version", "1");
  await stack.json("push", await sampleIn(stack, "own", "heavy", 128), "heavy", "--version", "1");
  await stack.json("pull", "base:1", "--host", host);
  bundle = await sampleIn(stack, join("hosts", host, "simulator", "Parallels"), "large", 128);
  before = await onDiskOf(stack, host);
}, 180_000);
afterAll(async () => {
  await temporal?.connection.close();
  await stack?.close();
}, 180_000);
afterEach(async () => {
  controlSimulator(simulatorOf(stack, host), { ...usualControl });
  await nothingLeft();
}, 180_000);

const start = (...words: string[]) => stack.json<{ id: string; workflowId: string }>(...words, "--detach");
const provision = async (name: string): Promise<OperationDetail> => operation(stack, (await start("machine", "create", name, ...small)).id);
const pull = () => start("pull", "heavy:1", "--host", host);
const push = () => start("push", bundle, "large", "--version", "1", "--host", host);
const nothingLeft = () =>
  expect
    .poll(
      () =>
        expectNothingLeft(stack, host, before).then(
          () => "nothing",
          (error: unknown) => String(error),
        ),
      { timeout: sweptWithinMs },
    )
    .toBe("nothing");
/** As `temporal workflow describe` tells it. */
const statusOf = async (workflowId: string) => (await temporal.workflow.getHandle(workflowId).describe()).status.name;

describe("a workflow that is terminated", () => {
  const section = "A workflow was terminated";

  it("leaves nothing of a pull, a push and a machine in the middle, and the same again works", async () => {
    controlSimulator(simulatorOf(stack, host), { times: { startMs: 60_000 } });
    const [fetching, sending, booting] = await Promise.all([pull(), push(), provision("ended")]);
    await Promise.all([
      moving(stack, fetching.id, "fetch", begunWithinMs),
      moving(stack, sending.id, "upload", begunWithinMs),
      running(stack, booting.id, "start", begunWithinMs),
    ]);
    await terminal.type(section, `temporal workflow terminate --workflow-id ${fetching.workflowId} --reason "by hand"`);
    for (const { workflowId } of [sending, booting]) await temporal.workflow.getHandle(workflowId).terminate("by hand");
    const ended = await Promise.all([fetching, sending, booting].map(({ id }) => settled(stack, id, sweptWithinMs)));
    expect(ended.map(({ state, fault }) => [state, fault?.code])).toEqual(ended.map(() => ["failed", "operation_terminated"]));
    await terminal.type(section, `drover operation show ${fetching.id}`);
    controlSimulator(simulatorOf(stack, host), { ...usualControl });
    await expect.poll(() => stack.json("machine", "list"), { timeout: sweptWithinMs }).toEqual([]);
    await nothingLeft();

    const again = await Promise.all([push(), provision("ended")]);
    expect((await Promise.all(again.map(({ id }) => settled(stack, id, 60_000)))).map(({ state }) => state)).toEqual(["done", "done"]);
    await stack.json("image", "delete", "large:1");
    await stack.json("machine", "delete", "ended", "--force");
  }, 180_000);
});

describe("a workflow that is reset", () => {
  const section = "A workflow was reset";

  it("runs again from the chosen point while its operation is under way, and does everything once", async () => {
    controlSimulator(simulatorOf(stack, host), { toolsNeverUp: true });
    const made = await provision("again");
    await parkedAt(stack, made.id);
    controlSimulator(simulatorOf(stack, host), { toolsNeverUp: false });
    await terminal.type(section, `temporal workflow reset --workflow-id ${made.workflowId} --type FirstWorkflowTask --reason "by hand"`);
    const outcome = await settled(stack, made.id, 60_000);
    expect(outcome.fault?.message ?? outcome.state).toBe("done");
    expect(await stack.json("machine", "list")).toMatchObject([{ name: "again", observed: "running", epoch: 1 }]);
    expect((await onDiskOf(stack, host)).bundles).toHaveLength(before.bundles.length + 1);

    // Once it has ended, wherever it is reset to.
    const ended = await operation(stack, made.id);
    const { runId, points } = await turningPoints(made.workflowId);
    for (const point of points) {
      await resetTo(made.workflowId, runId, point);
      await expect.poll(() => statusOf(made.workflowId), { timeout: 60_000 }).not.toBe("RUNNING");
    }
    expect(await operation(stack, made.id)).toEqual(ended);
    await terminal.type(section, `drover operation show ${made.id}`);
    expect(await stack.json("machine", "list")).toMatchObject([{ name: "again", observed: "running", epoch: 1 }]);
    await stack.json("machine", "delete", "again", "--force");
  }, 180_000);

  it("runs no command twice in a guest", async () => {
    const { id } = await provision("guest");
    await settled(stack, id, 60_000);
    const trace = join(stack.home, "trace");
    const exec = await stack.json<{ id: string; workflowId: string }>(
      "machine",
      "exec",
      "--detach",
      "guest",
      "--",
      `echo ran >> ${trace}; sleep 3`,
    );
    await expect.poll(() => readFile(trace, "utf8").catch(() => ""), { timeout: 60_000 }).toBe("ran\n");
    const begun = await turningPoints(exec.workflowId);
    await resetTo(exec.workflowId, begun.runId, begun.points[0]);
    const ended = await settled(stack, exec.id, 30_000);
    expect(["done", "failed"]).toContain(ended.state);
    if (ended.state === "failed") expect(ended.fault?.code).toBe("outcome_unknown");
    await resetTo(exec.workflowId, begun.runId, begun.points[0]);
    await expect.poll(() => statusOf(exec.workflowId), { timeout: 60_000 }).not.toBe("RUNNING");
    expect(await readFile(trace, "utf8")).toBe("ran\n");
    await stack.json("machine", "delete", "guest", "--force");
  }, 180_000);

  /** Where a reset of the newest run may lead: every workflow task that was completed. */
  async function turningPoints(workflowId: string) {
    const { runId } = await temporal.workflow.getHandle(workflowId).describe();
    const { events } = await temporal.workflow.getHandle(workflowId, runId).fetchHistory();
    const points = (events ?? []).flatMap(({ eventId, workflowTaskCompletedEventAttributes: done }) => (done && eventId ? [eventId] : []));
    return { runId, points };
  }

  async function resetTo(workflowId: string, runId: string, point: EventId | undefined): Promise<void> {
    if (!point) throw new Error(`${workflowId} has completed no workflow task`);
    const where = { namespace: temporal.options.namespace, workflowExecution: { workflowId, runId }, workflowTaskFinishEventId: point };
    await temporal.workflowService.resetWorkflowExecution({ ...where, requestId: randomUUID(), reason: "by hand" });
  }
});

describe("what else can be done by hand", () => {
  const section = "A workflow or an activity was paused, completed or failed by hand";
  const activityOf = async (workflowId: string, type: string) => {
    const { raw } = await temporal.workflow.getHandle(workflowId).describe();
    const found = raw.pendingActivities?.find((one) => one.activityType?.name === type);
    if (!found?.activityId) throw new Error(`${type} is not pending: ${JSON.stringify(raw.pendingActivities)}`);
    return found.activityId;
  };

  /** While its host sleeps, a transfer stays where it is, however fast the computer. */
  async function asleep(act: () => Promise<void>): Promise<void> {
    const pid = stack.stack.pids()[host];
    if (!pid) throw new Error(`${host} does not run`);
    process.kill(pid, "SIGSTOP");
    await act().finally(() => process.kill(pid, "SIGCONT"));
  }

  it("cancels a pull as `drover operation cancel` does", async () => {
    const { id, workflowId } = await pull();
    await moving(stack, id, "fetch", begunWithinMs);
    await terminal.type(section, `temporal workflow cancel --workflow-id ${workflowId}`);
    expect(await settled(stack, id)).toMatchObject({ state: "cancelled", fault: { code: "operation_cancelled" } });
  }, 180_000);

  it("pauses an activity of a pull, and goes on where it stopped; pausing a workflow is refused by servers that do not have it yet", async () => {
    const { id, workflowId } = await pull();
    await moving(stack, id, "fetch", begunWithinMs);
    const activityId = await activityOf(workflowId, "fetchImage");
    await asleep(async () => {
      await terminal.type(section, `temporal workflow pause --workflow-id ${workflowId} 2>&1 | cut -d: -f1,2`);
      await terminal.type(section, `temporal activity pause --workflow-id ${workflowId} --activity-id ${activityId}`);
      await terminal.type(section, `temporal activity unpause --workflow-id ${workflowId} --activity-id ${activityId}`);
      await terminal.type(section, `temporal activity reset --workflow-id ${workflowId} --activity-id ${activityId}`);
    });
    expect(await settled(stack, id, 60_000)).toMatchObject({ state: "done" });
    before = { ...before, cached: (await onDiskOf(stack, host)).cached };
  }, 180_000);

  it("takes back what was done when an activity is failed by hand, or completed with something that is not true", async () => {
    const failed = await push();
    await moving(stack, failed.id, "upload", begunWithinMs);
    const upload = await activityOf(failed.workflowId, "uploadBundle");
    await terminal.type(section, `temporal activity fail --workflow-id ${failed.workflowId} --activity-id ${upload} --reason "by hand"`);
    expect(await settled(stack, failed.id, 60_000)).toMatchObject({ state: "failed" });
    await terminal.type(section, `drover operation show ${failed.id}`);

    const lied = await push();
    await moving(stack, lied.id, "upload", begunWithinMs);
    const lie = await activityOf(lied.workflowId, "uploadBundle");
    await terminal.type(section, `temporal activity complete --workflow-id ${lied.workflowId} --activity-id ${lie} --result '{}'`);
    expect(await settled(stack, lied.id, 90_000)).toMatchObject({ state: "failed" });
    await terminal.type(section, `drover operation show ${lied.id}`);
    expect(await stack.json("image", "list", "large")).toEqual([]);
  }, 180_000);
});
