/**
 * Takes a machine of this host into the hub's: registers a bundle that is not, gives it the asked name, and marks it.
 *
 * The one idea: the machine goes on as it is. The mark is written last, so what was given up half-way is what it was before.
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { FaultError, type Code } from "../../domain/errors.ts";
import type { VmInfo } from "../../parallels/parse/machines.ts";
import type { HostAdoptActivities } from "../../workflows/machines/adopt.ts";
import { effectOf } from "./act.ts";
import { insideRoots, type HostContext } from "./context.ts";
import { plainMark, readMark, realOf, removeMark, writeMark } from "./mark.ts";
import { observed } from "./observed.ts";
import { found, register } from "./prepare.ts";
import { openReporter } from "./reporter.ts";
import { ensured, inStep } from "./steps.ts";
import { unregisteredBundles } from "./unregistered.ts";

type Adopting = Parameters<HostAdoptActivities["adoptMachine"]>[0];

export function adoptActivities(context: HostContext): HostAdoptActivities {
  const { attempts, guard, machines, link, prlctl, ledger } = context;
  return {
    adoptMachine: (asked) =>
      attempts.run(asked.operationId, "adopt", ({ signal }) =>
        machines.run(asked.machineId, signal, async () => {
          const { fence } = await link.grants({ operationId: asked.operationId, begin: true }, signal);
          const reporter = openReporter(link, asked.operationId, fence);
          await inStep(reporter, "register", () => ensureRegistered(context, asked, signal));
          await inStep(reporter, "mark", () => markAsOurs(context, asked, signal));
          const seen = await observed(await found(context, asked.machineId, signal));
          return { ...(await effectOf({ context, machineId: asked.machineId, signal })), seen };
        }),
      ),

    unmarkMachine: ({ operationId, machineId }) =>
      attempts.run(operationId, "unmark", ({ signal }) =>
        machines.run(machineId, signal, () =>
          ensured(async () => {
            const machine = await prlctl.find(machineId, { signal });
            const mark = machine?.bundlePath ? await readMark(machine.bundlePath) : null;
            if (!machine?.bundlePath || mark?.operationId !== operationId || !mark.adopted) return;
            await guard.mayChange();
            await removeMark(machine.bundlePath);
            await ledger.forget(machineId);
            context.changed();
          }),
        ),
      ),
  };
}

async function ensureRegistered(
  context: HostContext,
  { machineId, seenId, name, bundlePath }: Adopting,
  signal: AbortSignal,
): Promise<void> {
  const { prlctl } = context;
  const machine = await prlctl.find(machineId, { signal });
  if (machine) {
    if (bundlePath !== undefined) await mustLieAt(machine, await insideRoots(bundlePath, context.roots));
    if (machine.name !== name) await prlctl.set(machineId, { name }, { signal });
    return;
  }
  if (bundlePath !== undefined) return register(context, machineId, await registrable(context, bundlePath, signal), name, signal);
  const bundle = (await unregisteredBundles(context, await prlctl.inventory({ signal }))).find(({ id }) => id === seenId);
  if (!bundle)
    throw new FaultError({ code: "machine_lost", message: `Neither a machine ${seenId} nor its bundle is on this host.`, subject: seenId });
  await register(context, machineId, bundle.path, name, signal);
}

/** The real path of a bundle that nobody has: no machine of this host, and no hub by its mark. */
async function registrable(context: HostContext, bundlePath: string, signal: AbortSignal): Promise<string> {
  const path = await insideRoots(bundlePath, context.roots);
  const refuse = (code: Code, message: string) => new FaultError({ code, message, subject: path });
  if (!(await stat(join(path, "config.pvs")).catch(() => null))?.isFile())
    throw refuse("bundle_invalid", `${path} holds no config.pvs, as the folder of a whole machine does.`);
  for (const { name, bundlePath: taken } of await context.prlctl.inventory({ signal }))
    if (taken !== null && (await realOf(taken)) === path) throw refuse("machine_exists", `${path} is registered already, as ${name}.`);
  const mark = await readMark(path);
  if (mark && mark.hubId !== context.hubId) throw refuse("machine_foreign", `${path} belongs to the hub ${mark.hubId}.`);
  if (mark && !mark.copied) throw refuse("machine_exists", `${path} is the bundle of the machine ${mark.machineId}: adopt that one.`);
  return path;
}

async function mustLieAt({ id, name, bundlePath }: VmInfo, path: string): Promise<void> {
  if (bundlePath !== null && (await realOf(bundlePath)) === path) return;
  throw new FaultError({ code: "machine_exists", message: `The id ${id} is that of ${name} on this host.`, subject: name });
}

async function markAsOurs(context: HostContext, { machineId, epoch, operationId }: Adopting, signal: AbortSignal): Promise<void> {
  const machine = await found(context, machineId, signal);
  const { bundlePath, name } = machine;
  if (bundlePath === null)
    throw new FaultError({ code: "prlctl_failed", message: `Parallels Desktop does not say where ${name} lies.`, subject: name });
  const before = await readMark(bundlePath);
  if (before && before.hubId !== context.hubId)
    throw new FaultError({ code: "machine_foreign", message: `${name} belongs to the hub ${before.hubId}.`, subject: name });
  if (before?.copied) await ensureOwnAddress(context, machine, signal);
  const mark = { hubId: context.hubId, machineId, epoch, operationId };
  await context.guard.mayChange();
  await context.ledger.place(mark);
  const replaced = before === null || before.operationId === operationId ? before?.replaced : plainMark(before);
  await writeMark(bundlePath, {
    ...mark,
    ...(!before || before.adopted ? { adopted: true } : {}),
    ...(replaced === undefined ? {} : { replaced }),
  });
}

/** A copy of a bundle has the network address of the first one, and the two would meet. */
async function ensureOwnAddress({ prlctl }: HostContext, { id, macAddress, state }: VmInfo, signal: AbortSignal): Promise<void> {
  if (state !== "stopped") return;
  const others = (await prlctl.inventory({ signal })).filter((other) => other.id !== id);
  if (others.some((other) => other.macAddress === macAddress)) await prlctl.set(id, { macAddress: "auto" }, { signal });
}
