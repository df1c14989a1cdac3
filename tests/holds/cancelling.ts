/**
 * Every step that can be cancelled, each brought about on one whole stack: a command of Parallels Desktop that hangs, a store that stalls, a guest that does
 * not answer, a wait.
 *
 * The one idea: whatever an operation does when it is cancelled, it ends within 5 s on a live host, and afterwards the stack is as it was before.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import postgres from "postgres";
import { expect } from "vitest";
import { pathOf } from "../../cli/client.ts";
import { Machine, Operation, OperationDetail, Provisioning } from "../../cli/wire.ts";
import { isSettled } from "../../domain/operations/rules.ts";
import { controlSimulator, usualControl, type Fault } from "../../parallels/simulator/control.ts";
import { expectNothingLeft, onDiskOf, operation, sampleIn, simulatorOf } from "../e2e/faults.ts";
import { openStack, ownServers, type TestStack } from "../e2e/stack.ts";
import { startMiddleman, type Middleman } from "../stores/middleman.ts";
import { startS3Server, type S3Server } from "../stores/s3-server.ts";

export const host = "mac-1";
const mebibyte = 1024 ** 2;
const lookEveryMs = 30;
const small = { vcpus: 1, memoryBytes: 512 * mebibyte };

export interface World {
  readonly stack: TestStack;
  readonly s3: S3Server;
  readonly way: Middleman;
  readonly hostId: string;
  readonly sql: postgres.Sql;
  readonly before: { readonly bundles: string[]; readonly cached: string[]; readonly rights: unknown };
  close(): Promise<void>;
}

export async function openWorld(): Promise<World> {
  const s3 = await startS3Server();
  const way = await startMiddleman(s3.endpoint);
  const stack = await openStack({
    ...(await ownServers()),
    DROVER_HOSTS: "1",
    DROVER_STORE: `s3://${await s3.makeBucket()}/?endpoint=${encodeURIComponent(way.endpoint)}`,
    DROVER_STORE_ACCESS_KEY: s3.accessKey,
    DROVER_STORE_SECRET_KEY: s3.secretKey,
  });
  const hostId = (await stack.json<{ id: string }>("host", "show", host)).id;
  for (const name of ["base", "other"])
    await stack.json(
      "push",
      await sampleIn(stack, join("hosts", host, "simulator", "Parallels"), name, 8),
      name,
      "--version",
      "1",
      "--host",
      host,
    );
  for (const name of ["work", "still"]) await stack.json("machine", "create", name, "--image", "base:1", "--cpus", "1", "--memory", "512M");
  await stack.json("machine", "stop", "still", "--force");
  const sql = postgres(stack.env["DATABASE_URL"] ?? "", { max: 1 });
  const close = async () => {
    await sql.end();
    await stack.close();
    await way.stop();
    await s3.stop();
  };
  return { stack, s3, way, hostId, sql, before: { ...(await onDiskOf(stack, host)), rights: await rightsIn(sql) }, close };
}

/** What operations hold while they are under way, and must not hold after. */
async function rightsIn(sql: postgres.Sql): Promise<unknown> {
  const [row] = await sql`
    select (select count(*)::int from holds) as holds, (select count(*)::int from intents) as intents,
           (select count(*)::int from operations where sealed is not null) as sealed,
           (select count(*)::int from placements) as placements, (select count(*)::int from placements where runs) as running,
           (select string_agg(name || ' ' || desired, ', ' order by name) from machines where retired_at is null) as machines`;
  return { ...row };
}

export interface Scenario {
  readonly name: string;
  /** Asks for the operation that is to be cancelled, in its own words. */
  readonly ask: (world: World) => Promise<string>;
  /** The step in which it is cancelled. */
  readonly step: string;
  readonly control?: Partial<Omit<typeof usualControl, "times">> & { times?: Partial<(typeof usualControl)["times"]> };
  /** The store answers nothing, or nothing whose path looks so. */
  readonly stalled?: true | RegExp;
  /** What else must be so before it is cancelled. */
  readonly when?: (detail: OperationDetail, world: World) => boolean | Promise<boolean>;
  readonly outcome?: "done";
  /** Brings the machines back into the state in which every scenario begins. */
  readonly mend?: (world: World) => Promise<unknown>;
  /** Among those that run each time; the others have nothing of their own to tell but run in the long suite. */
  readonly often?: boolean;
}

const request = async ({ stack }: World, machine: string, body: object) =>
  (await stack.client.send("POST", `${pathOf("machines", machine)}/actions`, Operation, { body })).id;
const acting = (machine: string, body: object) => (world: World) => request(world, machine, body);
const provision =
  (more: object = {}) =>
  async ({ stack }: World) => {
    const body = { ...small, name: "cancelled", image: { catalogId: "base", version: "1" }, ...more };
    return (await stack.client.send("POST", "/machines", Provisioning, { body })).operation.id;
  };
const pull = async ({ stack, hostId }: World) =>
  (await stack.client.send("POST", `${pathOf("hosts", hostId)}/images`, Operation, { body: { catalogId: "other", version: "1" } })).id;
const push = async ({ stack }: World) => {
  const path = join(simulatorOf(stack, host), "Parallels", "other.pvm");
  return (await stack.json<{ id: string }>("push", path, "pushed", "--version", "1", "--host", host, "--detach")).id;
};
const retire =
  (machine: string, force = false) =>
  async ({ stack }: World) =>
    (await stack.client.send("DELETE", pathOf("machines", machine), Operation, { query: { force } })).id;
/** A machine of its own, because it is the machine's last. */
const retireNew = (force: boolean) => async (world: World) => {
  const id = await provision({ name: "ending", start: !force })(world);
  await world.stack.client.get(pathOf("operations", id, "wait"), OperationDetail, { query: { timeout: 60 } });
  return retire("ending", force)(world);
};
const hangs = (verb: string): { faults: Fault[] } => ({ faults: [{ verb, kind: "hang", times: 1 }] });
const hung = async (_: OperationDetail, { stack }: World) => (await hangingIn(stack)).length > 0;
const hangingIn = (stack: TestStack) => readdir(join(simulatorOf(stack, host), "hanging")).catch(() => []);
const hanging = (verb: string) => ({ control: hangs(verb), when: hung });
/** How S3 is asked what lies there. */
const listing = /[?&]list-type=2/;
/** As many as a machine's host runs at once. */
const sessions = ["sleep 60", "sleep 61"];
async function cancelAll({ stack }: World): Promise<void> {
  const open = await Promise.all(["running", "cancelling"].map((state) => stack.client.list("/operations", Operation, { state })));
  for (const { id, state } of open.flat()) {
    if (state === "running") await stack.client.send("POST", pathOf("operations", id, "cancel"), Operation);
    await stack.client.get(pathOf("operations", id, "wait"), OperationDetail, { query: { timeout: 60 } });
  }
}
function hostPid({ stack }: World): number {
  const pid = stack.stack.pids()[host] ?? null;
  if (pid === null) throw new Error(`${host} does not run`);
  return pid;
}
const anySnapshot = "00000000-0000-4000-8000-000000000000";

/** A hang in each command of each verb, and each wait of each operation. */
export const scenarios: readonly Scenario[] = [
  {
    name: "push: inspect bundle",
    ask: push,
    step: "inspect bundle",
    control: { faults: [{ verb: "list", kind: "slow", delayMs: 8_000 }] },
  },
  { name: "push: upload to a store that stalls", ask: push, step: "upload", stalled: true, often: true },
  { name: "push: check store", ask: push, step: "check store", stalled: listing },
  { name: "pull: fetch from a store that stalls", ask: pull, step: "fetch", stalled: true, often: true },
  {
    name: "provision: fetch from a store that stalls",
    ask: provision({ image: { catalogId: "other", version: "1" } }),
    step: "fetch",
    stalled: true,
  },
  { name: "provision: register", ask: provision(), step: "register", ...hanging("register"), often: true },
  { name: "provision: configure", ask: provision(), step: "configure", ...hanging("set") },
  { name: "provision: start", ask: provision(), step: "start", ...hanging("start"), often: true },
  { name: "provision: a guest that boots for long", ask: provision(), step: "start", control: { times: { startMs: 60_000 } } },
  { name: "provision: address", ask: provision(), step: "address", control: { addressNever: ["cancelled"] } },
  { name: "provision: answers", ask: provision(), step: "answers", control: { toolsNeverUp: ["cancelled"] }, often: true },
  {
    name: "provision: parked",
    ask: provision(),
    step: "start",
    control: { licence: "expired" },
    when: ({ state }) => state === "parked",
    often: true,
  },
  { name: "start", ask: acting("still", { verb: "start" }), step: "start", ...hanging("start") },
  {
    name: "start: a guest that boots for long",
    ask: acting("still", { verb: "start" }),
    step: "start",
    control: { times: { startMs: 60_000 } },
    often: true,
  },
  { name: "stop: a guest that does not listen", ask: acting("work", { verb: "stop" }), step: "stop", control: { ignoresStop: ["work"] } },
  { name: "stop: by force", ask: acting("work", { verb: "stop", mode: "kill" }), step: "stop", ...hanging("stop"), often: true },
  { name: "restart", ask: acting("work", { verb: "restart" }), step: "restart", ...hanging("restart") },
  { name: "reset", ask: acting("work", { verb: "reset" }), step: "reset", ...hanging("reset") },
  { name: "suspend", ask: acting("work", { verb: "suspend" }), step: "suspend", ...hanging("suspend") },
  {
    name: "suspend: between two attempts",
    ask: acting("work", { verb: "suspend" }),
    step: "suspend",
    control: { faults: [{ verb: "suspend", kind: "fail" }] },
    when: ({ nextAttempt }) => nextAttempt !== null && nextAttempt !== undefined && nextAttempt.attempt > 2,
    often: true,
  },
  { name: "pause", ask: acting("work", { verb: "pause" }), step: "pause", ...hanging("pause") },
  {
    name: "resume",
    ask: async (world) => {
      await world.stack.json("machine", "suspend", "work");
      return request(world, "work", { verb: "resume" });
    },
    step: "resume",
    ...hanging("resume"),
    mend: async ({ stack }) => stack.json("machine", "resume", "work"),
  },
  { name: "configure", ask: acting("still", { verb: "configure", vcpus: 2 }), step: "configure", ...hanging("set") },
  { name: "rename", ask: acting("still", { verb: "rename", name: "moved" }), step: "rename", ...hanging("set") },
  { name: "clone: register", ask: acting("still", { verb: "clone", name: "twin" }), step: "clone", ...hanging("register"), often: true },
  { name: "clone: linked", ask: acting("still", { verb: "clone", name: "twin", linked: true }), step: "clone", ...hanging("clone") },
  {
    name: "clone: linked, before it has its id",
    ask: acting("still", { verb: "clone", name: "twin", linked: true }),
    step: "clone",
    ...hanging("unregister"),
    often: true,
  },
  {
    name: "snapshot-create",
    ask: acting("still", { verb: "snapshot-create", name: "s" }),
    step: "snapshot-create",
    ...hanging("snapshot"),
  },
  { name: "snapshot-list", ask: acting("still", { verb: "snapshot-list" }), step: "snapshot-list", ...hanging("snapshot-list") },
  {
    name: "snapshot-revert",
    ask: acting("still", { verb: "snapshot-revert", snapshotId: anySnapshot }),
    step: "snapshot-revert",
    ...hanging("snapshot-list"),
  },
  {
    name: "snapshot-delete",
    ask: acting("still", { verb: "snapshot-delete", snapshotId: anySnapshot }),
    step: "snapshot-delete",
    ...hanging("snapshot-list"),
  },
  { name: "execute", ask: acting("work", { verb: "execute", script: "sleep 60" }), step: "execute", when: underWayOnHost, often: true },
  {
    name: "execute: waiting for a session",
    ask: async (world) => {
      for (const script of sessions) await acting("work", { verb: "execute", script })(world);
      return acting("work", { verb: "execute", script: "true" })(world);
    },
    step: "execute",
    when: underWayOnHost,
    mend: cancelAll,
  },
  { name: "capture", ask: acting("work", { verb: "capture" }), step: "capture", ...hanging("capture") },
  { name: "retire: a guest that does not listen", ask: retire("work"), step: "stop", control: { ignoresStop: ["work"] }, often: true },
  {
    name: "retire: waiting for a holder whose host sleeps",
    ask: async (world) => {
      const id = await acting("work", { verb: "execute", script: "sleep 60" })(world);
      await until(world.stack, id, async (detail) => detail.state === "running" && (await underWayOnHost(detail)));
      process.kill(hostPid(world), "SIGSTOP");
      return retire("work", true)(world);
    },
    step: "take over",
    mend: async (world) => {
      process.kill(hostPid(world), "SIGCONT");
      await cancelAll(world);
    },
  },
  { name: "retire: remove", ask: retireNew(true), step: "remove", ...hanging("delete"), outcome: "done", often: true },
];

/** The script's session was opened when the guest's shell runs; a moment after the step began. */
async function underWayOnHost({ startedAt }: OperationDetail): Promise<boolean> {
  return startedAt !== null && Date.now() - startedAt.getTime() > 500;
}

export interface Cancelled {
  readonly outcome: string;
  readonly tookMs: number;
}

/** Brings the scenario about, cancels in the middle of it, and looks at what is left. */
export async function cancelIn(world: World, scenario: Scenario): Promise<Cancelled> {
  const { stack, way, before } = world;
  const { ask, step, control = {}, stalled, when = () => true, mend } = scenario;
  const simulator = simulatorOf(stack, host);
  // What needs a calm Mac first is asked for before it misbehaves: the commands that fail are those of the step alone.
  controlSimulator(simulator, { ...usualControl, ...control });
  if (stalled) way.stall(stalled === true ? undefined : stalled);
  try {
    const id = await ask(world);
    await until(
      stack,
      id,
      async (detail) => detail.steps.some(({ name, state }) => name === step && state !== "pending") && (await when(detail, world)),
    );
    const askedMs = performance.now();
    await stack.client.send("POST", pathOf("operations", id, "cancel"), Operation);
    const ended = await stack.client.get(pathOf("operations", id, "wait"), OperationDetail, { query: { timeout: 60 } });
    return { outcome: ended.state, tookMs: Math.round(performance.now() - askedMs) };
  } finally {
    way.mend();
    controlSimulator(simulator, { ...usualControl });
    await mend?.(world);
    await expectNothingLeft(stack, host, { bundles: before.bundles, cached: before.cached });
    expect(await rightsIn(world.sql)).toEqual(before.rights);
    expect(await readdir(join(stack.home, "hosts", host, "journals")).catch(() => [])).toEqual([]);
    expect((await stack.client.list("/machines", Machine)).map(({ name }) => name).toSorted()).toEqual(["still", "work"]);
    await rm(join(simulator, "hanging"), { recursive: true, force: true });
  }
}

async function until(stack: TestStack, id: string, wanted: (detail: OperationDetail) => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 30_000; ; await delay(lookEveryMs)) {
    const detail = await operation(stack, id);
    if (await wanted(detail)) return;
    if (isSettled(detail.state) || Date.now() > end) throw new Error(`operation ${id} is not as wanted: ${JSON.stringify(detail)}`);
  }
}
