/**
 * What provisioning and retiring do on a host.
 *
 * The one idea: all are ensures under the machine's own lock, so they may come twice, late, or for a machine that is half there.
 */
import { rm } from "node:fs/promises";
import { FaultError } from "../../domain/errors.ts";
import type { MachineActivities, MadeMachine } from "../../workflows/machines/provision.ts";
import { awaitAddress, awaitAnswer, ensureRunning, ensureStopped } from "./boot.ts";
import type { HostContext } from "./context.ts";
import { madeLinked } from "./clone.ts";
import { dropSnapshots, mustCarryNone, originOf } from "./linked.ts";
import { readMark, removeMarked } from "./mark.ts";
import { prepare, type Preparation } from "./prepare.ts";
import { openReporter } from "./reporter.ts";
import { ensured, inStep } from "./steps.ts";
import { unregisteredBundles } from "./unregistered.ts";

export function machineActivities(context: HostContext): MachineActivities {
  const { attempts, machines, link } = context;
  return {
    createMachine: (making) => {
      const { operationId } = making;
      return makeMachine(context, making, { begin: async (signal) => (await link.grants({ operationId, begin: true }, signal)).fence });
    },

    stopMachine: ({ operationId, machineId, graceMs, ifStarted = false, unlessCloned = false }) =>
      attempts.run(operationId, "stop", ({ signal }) =>
        machines.run(machineId, signal, async () => {
          if (ifStarted && (await context.ledger.act(operationId)) === null) return;
          if (unlessCloned) await mustCarryNone(context, machineId, signal);
          await ensured(() => ensureStopped(context, machineId, graceMs, signal));
        }),
      ),

    removeMachine: ({ operationId, machineId, epoch, unlessCloned = false }) =>
      attempts.run(operationId, `remove/${machineId}`, async ({ signal }) => {
        // Of a batch that its operation fell out of.
        await attempts.end(operationId, "create");
        await machines.run(machineId, signal, async () => {
          if (unlessCloned) await mustCarryNone(context, machineId, signal);
          await ensured(() => ensureAbsent(context, machineId, epoch, signal));
        });
      }),
  };
}

interface Beginning {
  /** Answers the fence of the attempt. */
  readonly begin: (signal: AbortSignal) => Promise<number>;
  /** Ends the attempt too. */
  readonly within?: AbortSignal;
}

export function makeMachine(
  context: HostContext,
  { operationId, placement, skip }: Parameters<MachineActivities["createMachine"]>[0],
  { begin, within }: Beginning,
): Promise<MadeMachine> {
  const { attempts, machines, link, pins } = context;
  return attempts.run(operationId, "create", (attempt) => {
    const signal = within ? AbortSignal.any([attempt.signal, within]) : attempt.signal;
    return machines.run(placement.machineId, signal, async () => {
      const reporter = openReporter(link, operationId, await begin(signal));
      const work = { context, operationId, placement, reporter, signal };
      const prepared = await pins.holding([placement.wanted.digest], () => prepare(work, attempt));
      return { ...prepared, addresses: placement.start ? await bringUp(work, skip) : [] };
    });
  });
}

/** Answers its addresses. */
async function bringUp({ context, placement, reporter, signal }: Preparation, skip: readonly string[]): Promise<string[]> {
  const { machineId, probe } = placement;
  await inStep(reporter, "start", () => ensureRunning(context, machineId, signal));
  const addresses = skip.includes("address") ? [] : await inStep(reporter, "address", () => awaitAddress(context, machineId, signal));
  if (!skip.includes("answers")) await inStep(reporter, "answers", () => awaitAnswer(context, machineId, probe, addresses, signal));
  return addresses;
}

/** Unregistered, deleted, absent on disk. A newer placement of the same machine on this host is not what was meant, and stays. */
export async function ensureAbsent(context: HostContext, machineId: string, epoch: number, signal: AbortSignal): Promise<void> {
  const { prlctl, ledger, guard } = context;
  const placed = await ledger.placed(machineId);
  const machine = await prlctl.find(machineId, { signal });
  // Either may be lost: the ledger with the worker's folder, the mark with the bundle.
  const mark = machine?.bundlePath ? await readMark(machine.bundlePath) : null;
  const newest = Math.max(placed?.epoch ?? 0, mark?.machineId === machineId ? mark.epoch : 0);
  if (newest > epoch) return;

  // A linked clone that was not registered under its own id yet.
  const unmarked = placed && !machine ? await madeLinked(context, placed, signal) : null;
  const made = machine ?? unmarked;
  const origin = made && (await originOf(made));
  if (machine) {
    await ensureStopped(context, machineId, 0, signal);
    await absentFromParallels(context, machineId, machine.state === "invalid", signal);
    await guard.mayChange();
    if (machine.bundlePath !== null) await rm(machine.bundlePath, { recursive: true, force: true });
  }
  if (unmarked) await absentFromParallels(context, unmarked.id, false, signal);
  if (!made && !placed) await removeCopy(context, machineId, signal);
  const registered = async () => (await prlctl.inventory({ signal })).flatMap(({ bundlePath }) => bundlePath ?? []);
  await guard.mayChange();
  await removeMarked(context.machineFolder, machineId, epoch, registered);
  await ledger.forget(machineId);
  if (origin) await dropSnapshots(context, origin.sourceId, (id) => id === origin.snapshotId, signal);
  // Interrupted before there was a clone: only what the source got for it is left.
  else if (placed?.linked) await dropSnapshots(context, placed.linked.sourceId, cameSince(placed.linked.snapshotsBefore), signal);
  context.changed();
}

const cameSince = (before: readonly string[]) => (snapshotId: string) => !before.includes(snapshotId);

/** A copy of a bundle that was registered nowhere: its path is all that tells it from the others. */
async function removeCopy(context: HostContext, id: string, signal: AbortSignal): Promise<void> {
  const bundles = await unregisteredBundles(context, await context.prlctl.inventory({ signal }));
  await context.guard.mayChange();
  for (const bundle of bundles) if (bundle.copied && bundle.id === id) await rm(bundle.path, { recursive: true, force: true });
}

async function absentFromParallels({ prlctl }: HostContext, machineId: string, invalid: boolean, signal: AbortSignal): Promise<void> {
  try {
    await (invalid ? prlctl.unregister(machineId, { signal }) : prlctl.remove(machineId, { signal }));
  } catch (error) {
    const gone = error instanceof FaultError && error.fault.code === "machine_not_found";
    if (!gone) throw error;
  }
}
