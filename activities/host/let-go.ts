/**
 * Gives a machine back to whoever keeps its files: unregistered, no longer marked as ours, its bundle as it was.
 *
 * The one idea: the mark goes first, since a bundle with a mark of a machine that is no more would be removed; it comes back where the rest fails.
 */
import { FaultError } from "../../domain/errors.ts";
import type { HostLetGoActivities } from "../../workflows/machines/let-go.ts";
import type { HostContext } from "./context.ts";
import { putMarkBack, readMark, realOf, removeMark, writeMark, type FoundMark } from "./mark.ts";
import { ensured } from "./steps.ts";

export function letGoActivities(context: HostContext): HostLetGoActivities {
  const { attempts, machines } = context;
  return {
    letGoMachine: (asked) =>
      attempts.run(asked.operationId, "let go", ({ signal }) =>
        machines.run(asked.machineId, signal, () => ensured(() => ensureLetGo(context, asked, signal))),
      ),
  };
}

type Asked = Parameters<HostLetGoActivities["letGoMachine"]>[0];

/** A newer placement of the same machine on this host, or another bundle than the named one, is not what was meant, and stays. */
async function ensureLetGo(context: HostContext, asked: Asked, signal: AbortSignal): Promise<void> {
  const { machineId, epoch, bundlePath } = asked;
  const { prlctl, ledger, guard } = context;
  const machine = await prlctl.find(machineId, { signal });
  const path = machine?.bundlePath ?? null;
  if (machine && bundlePath !== undefined && (path === null || (await realOf(path)) !== (await realOf(bundlePath)))) return;
  const found = path === null ? null : await readMark(path);
  const own = found?.machineId === machineId && found.hubId === context.hubId ? found : null;
  if (Math.max(own?.epoch ?? 0, (await ledger.placed(machineId))?.epoch ?? 0) > epoch) return;
  await guard.mayChange();
  if (machine) await unregistered(context, { ...asked, path, mark: own }, signal);
  const lies = path ?? bundlePath;
  const left = lies === undefined ? null : await readMark(lies);
  if (left?.machineId !== machineId || left.copied) await ledger.forget(machineId);
  context.changed();
}

type LettingGo = Asked & { readonly path: string | null; readonly mark: FoundMark | null };

async function unregistered({ prlctl }: HostContext, { path, mark, ...asked }: LettingGo, signal: AbortSignal): Promise<void> {
  const { machineId } = asked;
  if (path !== null && mark) await unmarked(path, mark, asked);
  try {
    await prlctl.unregister(machineId, { signal });
  } catch (error) {
    if (error instanceof FaultError && error.fault.code === "machine_not_found") return;
    if (path !== null && mark) await writeMark(path, writable(mark));
    throw error;
  }
}

/** What this operation's mark replaced comes back where that is asked for; a mark of another operation is then the one to keep. */
async function unmarked(path: string, { operationId, replaced }: FoundMark, asked: Asked): Promise<void> {
  if (!asked.restoresMark) return removeMark(path);
  if (operationId === asked.operationId && replaced) await putMarkBack(path, replaced);
}

/** A mark as it is written: which file it lies in is found out anew. */
const writable = ({ hubId, machineId, epoch, operationId, adopted, replaced }: FoundMark) => ({
  hubId,
  machineId,
  epoch,
  operationId,
  ...(adopted === undefined ? {} : { adopted }),
  ...(replaced === undefined ? {} : { replaced }),
});
