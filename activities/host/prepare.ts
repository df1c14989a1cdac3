/**
 * Makes a machine of a cached image: clone, register under our id, configure.
 *
 * The one idea: each step looks at what is there before it acts, so an attempt after a crash resumes at the first unfinished one. The clone is whole
 * and marked before its rename gives it the name under which Parallels Desktop will find it.
 */
import { readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { FaultError } from "../../domain/errors.ts";
import { cloneFolder } from "../../images/clone-file.ts";
import { elementOf, withElement } from "../../parallels/bundle/config.ts";
import type { MadeMachine, Placement } from "../../workflows/machines/provision.ts";
import type { Attempt } from "./attempt.ts";
import type { HostContext } from "./context.ts";
import { makingName, readMark, writeMark } from "./mark.ts";
import type { Reporter } from "./reporter.ts";
import { isReady } from "./soundness.ts";
import { inStep } from "./steps.ts";

export type Prepared = Omit<MadeMachine, "addresses">;

export interface Preparation {
  readonly context: HostContext;
  readonly operationId: string;
  readonly placement: Placement;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

export async function prepare(work: Preparation, attempt: Pick<Attempt, "note">): Promise<Prepared> {
  const { context, placement, reporter, signal } = work;
  const { machineId, cached = false } = placement;
  if (cached) await inStep(reporter, "make room", () => mustBeCached(work, attempt));
  const bundlePath = await inStep(reporter, "clone", async () => {
    if (!cached) await mustBeCached(work, attempt);
    return cloneBundle(work);
  });
  await inStep(reporter, "register", () => register(context, machineId, bundlePath, placement.name, signal));
  return inStep(reporter, "configure", () => configure(work));
}

/** What was there when the hub or the step before looked may have gone or been damaged since. */
async function mustBeCached({ context, placement, reporter, signal }: Preparation, { note }: Pick<Attempt, "note">): Promise<void> {
  const { wanted, cached = false } = placement;
  const step = cached ? "make room" : "clone";
  if (await isReady(context, wanted, { signal, note, damaged: (found) => reporter.damaged(step, found) })) return;
  const message = `The image ${wanted.image} is not whole in this host's cache.`;
  throw new FaultError({ code: "image_not_cached", message, subject: wanted.image });
}

async function cloneBundle({ context, operationId, placement, signal }: Preparation): Promise<string> {
  const { machineId, epoch, hubId, name, wanted } = placement;
  const source = context.cache.paths(wanted.digest).bundle;
  const bundlePath = join(context.machineFolder, `${name}.${wanted.kind}`);
  await copyMarked(context, { from: source, to: bundlePath, mark: { hubId, machineId, epoch, operationId }, signal });
  return bundlePath;
}

/** Ensures a whole, marked copy under its final name; refuses to write over anything that is not this very copy. */
export async function copyMarked(
  context: HostContext,
  ask: { from: string; to: string; mark: Parameters<typeof writeMark>[1]; signal: AbortSignal },
): Promise<void> {
  const { from, to, mark, signal } = ask;
  if (await stat(to).catch(() => null)) {
    const there = await readMark(to);
    if (there?.machineId === mark.machineId && there.epoch === mark.epoch && !there.copied) return;
    throw new FaultError({ code: "machine_exists", message: `There is already a bundle at ${to}.`, subject: to });
  }
  const aside = join(dirname(to), makingName(mark));
  await rm(aside, { recursive: true, force: true });
  await context.ledger.place(mark);
  try {
    await cloneFolder(from, aside, signal);
    await writeMark(aside, mark);
    await context.guard.mayChange();
    await rename(aside, to);
  } catch (error) {
    // Nobody may come back for it: the operation may have ended while this host slept.
    await rm(aside, { recursive: true, force: true });
    await context.ledger.forget(mark.machineId);
    throw error;
  }
}

/** Parallels Desktop takes name and id from the bundle, so both are right before it looks. */
export async function register(
  context: HostContext,
  machineId: string,
  bundlePath: string,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  if (await context.prlctl.find(machineId, { signal })) return;
  const configPath = join(bundlePath, "config.pvs");
  const xml = await readFile(configPath, "utf8");
  if (elementOf(xml, "VmName") !== name) await replaceFile(configPath, withElement(xml, ["VmName"], name));
  await context.prlctl.register(bundlePath, { uuid: machineId, regenerateSourceUuid: true }, { signal });
  context.changed();
}

/** A half written configuration would be a machine that nobody can register. */
async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

async function configure({ context, placement, signal }: Preparation): Promise<Prepared> {
  const { machineId, name, vcpus, memoryBytes, description } = placement;
  const before = await found(context, machineId, signal);
  const wanted = {
    cpus: vcpus,
    memoryBytes,
    macAddress: "auto",
    ...(before.name === name ? {} : { name }),
    ...(description === "" ? {} : { description }),
  } as const;
  // Only what was configured is started: one that runs was made by an earlier run of this operation, whose workflow was reset.
  if (before.state === "stopped") await context.prlctl.set(machineId, wanted, { signal });
  context.changed();
  const { macAddress, bundlePath, diskBytes } = await found(context, machineId, signal);
  if (bundlePath === null)
    throw new FaultError({ code: "prlctl_failed", message: `Parallels Desktop does not say where ${name} lies.`, subject: name });
  return { macAddress, bundlePath, diskBytes };
}

export async function found({ prlctl }: HostContext, machineId: string, signal: AbortSignal) {
  const machine = await prlctl.find(machineId, { signal });
  if (machine) return machine;
  throw new FaultError({ code: "machine_lost", message: `The machine ${machineId} is not on this host.`, subject: machineId });
}
