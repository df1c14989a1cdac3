/**
 * Clones a machine of this host into a new one under an id that the hub chose.
 *
 * The one idea: a full clone is made like a machine from an image (copy-on-write where the disk can, marked, then registered). Only a linked one needs
 * Parallels Desktop to make it; it is then registered anew under our id.
 */
import { stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { mayClone } from "../../domain/machines/rules.ts";
import type { VmInfo } from "../../parallels/parse/machines.ts";
import type { MachineAction } from "../../domain/machines/schema.ts";
import type { Effect } from "../../workflows/machines/operate.ts";
import { effectOf, type Act } from "./act.ts";
import type { HostContext } from "./context.ts";
import type { Placed } from "./ledger.ts";
import { originOf } from "./linked.ts";
import { readMark, writeMark } from "./mark.ts";
import { copyMarked, found, register } from "./prepare.ts";

export async function cloneMachine(act: Act, action: Extract<MachineAction, { verb: "clone" }>): Promise<Effect> {
  const { context, operationId, machineId, cloneId, signal } = act;
  if (cloneId === undefined) throw new FaultError({ code: "internal", message: "The hub chose no id for the clone." });
  const source = await found(context, machineId, signal);
  if (source.bundlePath === null)
    throw new FaultError({ code: "machine_state", message: `${source.name} has no bundle on disk.`, subject: source.name });
  unwrap(mayClone({ name: source.name, isLinked: (await originOf(source)) !== null }, action.linked));
  const bundlePath = join(context.machineFolder, `${action.name}${extname(source.bundlePath)}`);
  const placed = await context.ledger.placed(machineId);
  const mark = { hubId: placed?.hubId ?? context.hubId, machineId: cloneId, epoch: 1, operationId };

  if (action.linked) await context.sources.run(machineId, signal, () => linkedClone(act, { name: action.name, bundlePath, mark }));
  else await copyMarked(context, { from: source.bundlePath, to: bundlePath, mark, signal });
  await register(context, cloneId, bundlePath, action.name, signal);
  // From now on its id finds it: another machine of that name is somebody else's.
  if (action.linked) await context.ledger.place(mark);
  await context.prlctl.set(cloneId, { macAddress: "auto" }, { signal });
  return effectOf({ context, machineId: cloneId, signal }, { machineId: cloneId });
}

interface Linking {
  readonly name: string;
  readonly bundlePath: string;
  readonly mark: Placed;
}

/** Ensures the marked bundle of a linked clone that no machine is registered of, unless it is ours already. */
async function linkedClone({ context, machineId, signal }: Act, { name, bundlePath, mark }: Linking): Promise<void> {
  const { prlctl, ledger, machineFolder } = context;
  if ((await readMark(bundlePath))?.machineId !== mark.machineId) {
    const before = await ledger.placed(mark.machineId);
    if ((before === null || (await madeLinked(context, before, signal)) === null) && (await isTaken(context, name, bundlePath, signal)))
      throw new FaultError({
        code: "machine_exists",
        message: `This host has a machine or a bundle named ${name} already.`,
        subject: name,
      });
    const snapshotsBefore = before?.linked?.snapshotsBefore ?? (await prlctl.snapshotList(machineId, { signal })).map(({ id }) => id);
    const placed = { ...mark, linked: { name, sourceId: machineId, snapshotsBefore } };
    await ledger.place(placed);
    if (!(await madeLinked(context, placed, signal))) await prlctl.clone(machineId, { name, dst: machineFolder, linked: true }, { signal });
    await writeMark(bundlePath, mark);
  }
  const made = await prlctl.find(name, { signal });
  if (made && made.id !== mark.machineId && made.bundlePath === bundlePath) await prlctl.unregister(made.id, { signal });
}

const isTaken = async ({ prlctl }: HostContext, name: string, bundlePath: string, signal: AbortSignal): Promise<boolean> =>
  (await prlctl.find(name, { signal })) !== null || (await stat(bundlePath).catch(() => null)) !== null;

/** The clone as Parallels Desktop made it, before it got our id: it has our name, points into our source, and at most its mark is ours already. */
export async function madeLinked({ prlctl }: HostContext, { machineId, linked }: Placed, signal: AbortSignal): Promise<VmInfo | null> {
  const made = linked ? await prlctl.find(linked.name, { signal }) : null;
  if (!linked || !made || (await originOf(made))?.sourceId !== linked.sourceId) return null;
  // Parallels Desktop copied the source's mark along.
  const mark = made.bundlePath === null ? null : await readMark(made.bundlePath);
  return !mark || [machineId, linked.sourceId].includes(mark.machineId) ? made : null;
}
