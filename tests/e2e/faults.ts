/**
 * What tests of faults share: how a command refuses, what an operation came to, and what was left behind.
 *
 * The one idea: a fault is right only when nothing is left of what failed, so every test of one ends with the same look at the whole stack.
 */
import { execFile } from "node:child_process";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { expect } from "vitest";
import { pathOf } from "../../cli/client.ts";
import { Operation, OperationDetail } from "../../cli/wire.ts";
import { temporalBinary } from "../../deploy/toolchain/temporal.ts";
import { isSettled } from "../../domain/operations/rules.ts";
import { makeSampleBundle } from "../../parallels/sample/make.ts";
import type { TestStack } from "./stack.ts";

/** Often enough to meet a transfer that takes a second, seldom enough to leave the processors to it. */
const lookEveryMs = 30;

export interface Refusal {
  readonly exit: number;
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
}

/** The problem that a command ends with, as a script reads it; fails when the command succeeds. */
export async function refusalOf(stack: TestStack, ...words: string[]): Promise<Refusal> {
  const { code, stdout, stderr } = await stack.drover(...words, "--json");
  if (code === 0) throw new Error(`drover ${words.join(" ")} succeeded:\n${stdout}`);
  const problem = stderr.trimEnd().split("\n").at(-1) ?? "";
  return { exit: code, ...(JSON.parse(problem) as Omit<Refusal, "exit">) };
}

export const operation = (stack: TestStack, id: string): Promise<OperationDetail> =>
  stack.client.get(pathOf("operations", id), OperationDetail);

/** Looks at an operation until it is as wanted; what it settled as instead is told at once. */
export async function operationUntil(
  stack: TestStack,
  id: string,
  wanted: (detail: OperationDetail) => boolean,
  withinMs = 60_000,
): Promise<OperationDetail> {
  const end = Date.now() + withinMs;
  for (;;) {
    const detail = await operation(stack, id);
    if (wanted(detail)) return detail;
    if (isSettled(detail.state) || Date.now() > end) throw new Error(`operation ${id} is not as wanted: ${JSON.stringify(detail)}`);
    await delay(lookEveryMs);
  }
}

export const settled = (stack: TestStack, id: string, withinMs?: number): Promise<OperationDetail> =>
  operationUntil(stack, id, ({ state }) => isSettled(state), withinMs);
export const parkedAt = async (stack: TestStack, id: string): Promise<{ step: string; code: string | undefined }> => {
  const { steps } = await operationUntil(stack, id, ({ state }) => state === "parked");
  const step = steps.find(({ state }) => state === "parked");
  return { step: step?.name ?? "", code: step?.fault?.code };
};
/** A step moves bytes: there is something to lose and something to clean up. */
export const moving = (stack: TestStack, id: string, step: string, withinMs?: number): Promise<OperationDetail> =>
  operationUntil(
    stack,
    id,
    ({ steps }) => steps.some(({ name, state, progress }) => name === step && state === "running" && progress),
    withinMs,
  );
/** A step has begun and not ended. */
export const running = (stack: TestStack, id: string, step: string, withinMs?: number): Promise<OperationDetail> =>
  operationUntil(stack, id, ({ steps }) => steps.some(({ name, state }) => name === step && state === "running"), withinMs);

/** Tells a parked step what to do, as an operator without our command would: by the stock command line of Temporal. */
export async function decide(stack: TestStack, workflowId: string, word: "retry" | "skip" | "abort"): Promise<void> {
  const { TEMPORAL_ADDRESS: address = "", TEMPORAL_NAMESPACE: namespace = "" } = stack.env;
  const where = ["--address", address, "--namespace", namespace, "--disable-config-file"];
  await promisify(execFile)(await temporalBinary(), [
    "workflow",
    "update",
    "execute",
    "--workflow-id",
    workflowId,
    "--name",
    word,
    ...where,
  ]);
}

const mebibyte = 1024 ** 2;

/** A bundle below the stack's home, with content of its own, which follows from its name. */
export async function sampleIn(stack: TestStack, folder: string, name: string, contentMebibytes: number): Promise<string> {
  const at = join(stack.home, folder);
  await mkdir(at, { recursive: true });
  const sizes = { bytes: 2 * contentMebibytes * mebibyte, contentBytes: contentMebibytes * mebibyte };
  return (await makeSampleBundle({ folder: at, name, ...sizes, path: "", content: "pattern" })).bundlePath;
}

export const simulatorOf = (stack: TestStack, host: string): string => join(stack.home, "hosts", host, "simulator");
export const cacheOf = (stack: TestStack, host: string): string => join(stack.home, "hosts", host, "cache");
export const machineFolderOf = (stack: TestStack, host: string): string => join(simulatorOf(stack, host), "Parallels");

/** What there is on a host's disk: bundles, also half made ones, cached images, transfers that did not end. */
export async function onDiskOf(stack: TestStack, host: string): Promise<{ bundles: string[]; cached: string[]; incoming: string[] }> {
  const cache = cacheOf(stack, host);
  const names = async (folder: string) => (await readdir(folder).catch(() => [])).toSorted((a, b) => a.localeCompare(b));
  return {
    bundles: (await names(machineFolderOf(stack, host))).filter((name) => /\.(pvm|macvm|making)/.test(name)),
    cached: (await names(cache)).filter((name) => !name.startsWith(".")),
    incoming: await names(join(cache, ".incoming")),
  };
}

/** What failed left nothing: neither on the host's disk, nor in a list, nor a hold or an operation that still runs. */
export async function expectNothingLeft(stack: TestStack, host: string, but: { bundles: string[]; cached: string[] }): Promise<void> {
  expect(await onDiskOf(stack, host)).toEqual({ ...but, incoming: [] });
  const states = ["pending", "running", "parked", "cancelling"] as const;
  const open = await Promise.all(states.map((state) => stack.client.list("/operations", Operation, { state })));
  expect(open.flat().map(({ verb, subject, state }) => `${verb} ${subject} is ${state}`)).toEqual([]);
}
