/**
 * Clones a machine of this host into a new one under an id that the hub chose.
 *
 * The one idea: a full clone is made like a machine from an image (copy-on-write where the disk can, marked, then registered). Only a linked one needs
 * Parallels Desktop to make it; it is then registered anew under our id.
 */
import { dirname, extname, join } from "node:path";
import { FaultError } from "../../domain/errors.ts";
import type { MachineAction } from "../../domain/machines/schema.ts";
import type { Effect } from "../../workflows/machines/operate.ts";
import { effectOf, type Act } from "./act.ts";
import { writeMark } from "./mark.ts";
import { copyMarked, found, register } from "./prepare.ts";

export async function cloneMachine(act: Act, action: Extract<MachineAction, { verb: "clone" }>): Promise<Effect> {
  const { context, operationId, machineId, cloneId, signal } = act;
  if (cloneId === undefined) throw new FaultError({ code: "internal", message: "The hub chose no id for the clone." });
  const source = await found(context, machineId, signal);
  if (source.bundlePath === null)
    throw new FaultError({ code: "machine_state", message: `${source.name} has no bundle on disk.`, subject: source.name });
  const bundlePath = join(dirname(source.bundlePath), `${action.name}${extname(source.bundlePath)}`);
  const placed = await context.ledger.placed(machineId);
  const mark = { hubId: placed?.hubId ?? context.hubId, machineId: cloneId, epoch: 1, operationId };

  if (action.linked) await context.sources.run(machineId, signal, () => linkedClone(act, action.name, cloneId, mark));
  else await copyMarked(context, { from: source.bundlePath, to: bundlePath, mark, signal });
  await register(context, cloneId, bundlePath, action.name, signal);
  await context.prlctl.set(cloneId, { macAddress: "auto" }, { signal });
  return effectOf({ context, machineId: cloneId, signal }, { machineId: cloneId });
}

async function linkedClone(
  { context, machineId, signal }: Act,
  name: string,
  cloneId: string,
  mark: Parameters<typeof writeMark>[1],
): Promise<void> {
  const { prlctl, ledger } = context;
  if (await prlctl.find(cloneId, { signal })) return;
  await ledger.place(mark);
  const made =
    (await prlctl.find(name, { signal })) ??
    (await prlctl.clone(machineId, { name, linked: true }, { signal }).then(() => prlctl.find(name, { signal })));
  if (!made?.bundlePath)
    throw new FaultError({ code: "prlctl_failed", message: `Parallels Desktop made no clone named ${name}.`, subject: name });
  await writeMark(made.bundlePath, mark);
  await prlctl.unregister(made.id, { signal });
}
