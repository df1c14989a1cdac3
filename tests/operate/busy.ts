/**
 * A push, a provisioning and a retire, all in the middle at one moment, on a stack whose database can be taken away.
 */
import { join } from "node:path";
import { expect } from "vitest";
import { ImageVersion, Machine, type OperationDetail } from "../../cli/wire.ts";
import { FaultError } from "../../domain/errors.ts";
import { isSettled } from "../../domain/operations/rules.ts";
import { controlSimulator } from "../../parallels/simulator/control.ts";
import { expectNothingLeft, moving, onDiskOf, operation, running, sampleIn, simulatorOf } from "../e2e/faults.ts";
import { openStack, ownServers, type TestStack } from "../e2e/stack.ts";
import { openDatabaseServer, type DatabaseServer } from "./database.ts";

export const host = "mac-1";
/** Seconds on a quiet computer. */
const begunWithinMs = 60_000;
const endedWithinMs = 120_000;
const small = ["--image", "base:1", "--cpus", "1", "--memory", "512M"];

export interface Busy {
  readonly stack: TestStack;
  readonly database: DatabaseServer;
  /** Begins all three under names of their own; answers their operations once each is in the middle. */
  inTheMiddle(version: string): Promise<string[]>;
  /** Each is done, what they made is there and right, and nothing else is left. */
  expectDone(operations: readonly string[], version: string): Promise<void>;
  close(): Promise<void>;
}

export async function openBusyStack(): Promise<Busy> {
  const database = await openDatabaseServer();
  const stack = await openStack({ ...(await ownServers()), DATABASE_URL: database.url, DROVER_HOSTS: "1" });
  await stack.json("push", await sampleIn(stack, "own", "base", 8), "base", "--version", "1");
  await stack.json("pull", "base:1", "--host", host);
  const bundle = await sampleIn(stack, join("hosts", host, "simulator", "Parallels"), "large", 96);
  const before = await onDiskOf(stack, host);
  return {
    stack,
    database,
    inTheMiddle: (version) => inTheMiddle(stack, bundle, version),
    expectDone: async (operations, version) => {
      await expectDone(stack, operations, version);
      await expectNothingLeft(stack, host, before);
    },
    close: async () => {
      await stack.close();
      await database.close();
    },
  };
}

async function inTheMiddle(stack: TestStack, bundle: string, version: string): Promise<string[]> {
  const start = async (...words: string[]): Promise<string> => (await stack.json<{ id: string }>(...words, "--detach")).id;
  controlSimulator(simulatorOf(stack, host), { times: { startMs: 150, stopMs: 150 } });
  await stack.json("machine", "create", `old-${version}`, ...small);
  controlSimulator(simulatorOf(stack, host), { times: { startMs: 8_000, stopMs: 8_000 } });
  const made = await start("machine", "create", `new-${version}`, ...small);
  await running(stack, made, "start", begunWithinMs);
  const retired = await start("machine", "delete", `old-${version}`, "--force");
  const pushed = await start("push", bundle, "large", "--version", version, "--host", host);
  await Promise.all([running(stack, retired, "stop", begunWithinMs), moving(stack, pushed, "upload", begunWithinMs)]);
  return [made, retired, pushed];
}

const unlessAway = (error: unknown): null => {
  if (error instanceof FaultError && error.fault.code === "hub_unavailable") return null;
  throw error;
};

/** As a patient caller waits: asked to ask again, it asks again. */
async function settledAtLast(stack: TestStack, id: string): Promise<OperationDetail> {
  const look = () => operation(stack, id).catch(unlessAway);
  let last = await look();
  const isOver = async () => isSettled((last = await look())?.state ?? "running");
  await expect.poll(isOver, { timeout: endedWithinMs, interval: 200 }).toBe(true);
  if (!last) throw new Error(`operation ${id} was not seen`);
  return last;
}

/** The API has as many connections as it had callers: each learns of the restart when it is asked next. */
const answering = async (stack: TestStack): Promise<boolean> =>
  (await Promise.all(Array.from({ length: 8 }, () => stack.client.list("/machines", Machine).catch(unlessAway)))).every(
    (page) => page !== null,
  );

async function expectDone(stack: TestStack, operations: readonly string[], version: string): Promise<void> {
  const ended = await Promise.all(operations.map((id) => settledAtLast(stack, id)));
  expect(ended.map(({ verb, state, fault }) => `${verb} ${fault?.message ?? state}`)).toEqual([
    "provision done",
    "retire done",
    "push done",
  ]);
  await expect.poll(() => answering(stack), { timeout: 60_000 }).toBe(true);
  const [image] = await stack.client.list("/images", ImageVersion, { catalogId: "large" });
  expect(image).toMatchObject({ catalogId: "large", version });
  expect(await stack.client.list("/machines", Machine)).toMatchObject([{ name: `new-${version}`, observed: "running" }]);
  await stack.json("image", "delete", `large:${version}`);
  await stack.json("machine", "delete", `new-${version}`, "--force");
}
