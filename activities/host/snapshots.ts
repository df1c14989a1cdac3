/** Snapshots of a machine. A create finds its earlier result by the operation's id in the description; a delete of what is gone succeeds. */
import { FaultError } from "../../domain/errors.ts";
import type { MachineAction, Snapshot } from "../../domain/machines/schema.ts";
import type { Effect } from "../../workflows/machines/operate.ts";
import { effectOf, type Act } from "./act.ts";
import type { HostContext } from "./context.ts";
import { clonesOf } from "./linked.ts";

type SnapshotAction = Extract<MachineAction, { verb: `snapshot-${string}` }>;

export async function snapshotAction(act: Act, action: SnapshotAction): Promise<Effect> {
  const { context, machineId, operationId, signal } = act;
  const { prlctl } = context;
  const listed = () => prlctl.snapshotList(machineId, { signal });
  switch (action.verb) {
    case "snapshot-list":
      return effectOf(act, { snapshots: await listed() });
    case "snapshot-create": {
      // Parallels lists names only, so the operation's id goes into the name's journal on our disk.
      const before = await context.ledger.act(operationId);
      const known = (before?.effect ?? null) as { before?: string[] } | null;
      const ids = known?.before ?? (await listed()).map(({ id }) => id);
      await context.ledger.endAct(operationId, { before: ids });
      const earlier = (await listed()).find(({ id, name }) => !ids.includes(id) && name === action.name);
      const snapshotId =
        earlier?.id ?? (await prlctl.snapshotCreate(machineId, { name: action.name, description: action.description }, { signal }));
      return effectOf(act, { snapshotId, name: action.name, snapshots: await listed() });
    }
    case "snapshot-revert": {
      await mustHave(act, action.snapshotId);
      await prlctl.snapshotRevert(machineId, { snapshotId: action.snapshotId, resume: action.resume }, { signal });
      return effectOf(act, { snapshotId: action.snapshotId, snapshots: await listed() });
    }
    case "snapshot-delete": {
      const tree = await listed();
      const there = tree.some(({ id }) => id === action.snapshotId);
      if (there) await mustNotCarry(act, action.children ? below(tree, action.snapshotId) : [action.snapshotId]);
      if (there) await prlctl.snapshotRemove(machineId, { snapshotId: action.snapshotId, children: action.children }, { signal });
      return effectOf(act, { snapshotId: action.snapshotId, snapshots: await listed() });
    }
  }
}

/** Takes back what a create left that was cancelled: known are only the snapshots that were there before it. */
export async function dropMade(context: HostContext, made: { operationId: string; machineId: string; name: string }, signal: AbortSignal) {
  const { operationId, machineId, name } = made;
  const before = await context.ledger.act(operationId);
  if (before === null || !(await context.prlctl.find(machineId, { signal }))) return;
  const ids = (before.effect as { before?: string[] } | null)?.before ?? [];
  const left = (await context.prlctl.snapshotList(machineId, { signal })).filter((one) => one.name === name && !ids.includes(one.id));
  for (const { id } of left) await context.prlctl.snapshotRemove(machineId, { snapshotId: id }, { signal });
  await context.ledger.forgetAct(operationId);
}

/** The snapshot and those that were made after it. */
const below = (tree: readonly Snapshot[], snapshotId: string): string[] => [
  snapshotId,
  ...tree.filter(({ parentId }) => parentId === snapshotId).flatMap(({ id }) => below(tree, id)),
];

/** The disks of linked clones would lose what they stand on. */
async function mustNotCarry({ context, machineId, signal }: Act, snapshotIds: readonly string[]): Promise<void> {
  const clone = (await clonesOf(context, machineId, signal)).find(({ snapshotId }) => snapshotIds.includes(snapshotId));
  if (!clone) return;
  const message = `The snapshot carries the linked clone ${clone.name}: retire that machine first.`;
  throw new FaultError({ code: "machine_state", message, subject: clone.name });
}

async function mustHave({ context, machineId, signal }: Act, snapshotId: string): Promise<void> {
  const listed = await context.prlctl.snapshotList(machineId, { signal });
  if (listed.some(({ id }) => id === snapshotId)) return;
  throw new FaultError({ code: "snapshot_not_found", message: `The machine has no snapshot ${snapshotId}.`, subject: snapshotId });
}
