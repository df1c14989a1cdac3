/**
 * Linked clones and the snapshots of their sources that they stand on.
 *
 * The one idea: Parallels Desktop makes such a snapshot for a clone and forgets whose it is; the clones' own configurations tell, so the last clone that
 * stands on one takes it along.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FaultError, unwrap } from "../../domain/errors.ts";
import { mayRetire } from "../../domain/machines/rules.ts";
import { elementOf } from "../../parallels/bundle/config.ts";
import type { VmInfo } from "../../parallels/parse/machines.ts";
import type { HostContext } from "./context.ts";

/** The name that Parallels Desktop gives by itself. A snapshot that a person made stays, whoever stands on it. */
const ownName = "Snapshot for linked clone";

interface Origin {
  readonly sourceId: string;
  readonly snapshotId: string;
}

/** Where a linked clone comes from; null for any other machine. */
export async function originOf({ bundlePath }: Pick<VmInfo, "bundlePath">): Promise<Origin | null> {
  const xml = bundlePath === null ? "" : await readFile(join(bundlePath, "config.pvs"), "utf8").catch(() => "");
  const [sourceId = "", snapshotId = ""] = ["LinkedVmUuid", "LinkedSnapshotUuid"].map((name) =>
    bare(elementOf(xml, "Identification", name)),
  );
  return sourceId === "" ? null : { sourceId, snapshotId };
}

const bare = (id: string | null): string => (id ?? "").replace(/[{}]/g, "").toLowerCase();

/** The machines of this host that stand on a snapshot of that source. */
export async function clonesOf(
  { prlctl }: HostContext,
  sourceId: string,
  signal: AbortSignal,
): Promise<{ name: string; snapshotId: string }[]> {
  const machines = await prlctl.inventory({ signal });
  const origins = await Promise.all(machines.map(async (machine) => ({ name: machine.name, origin: await originOf(machine) })));
  return origins.flatMap(({ name, origin }) => (origin?.sourceId === sourceId ? [{ name, snapshotId: origin.snapshotId }] : []));
}

/** Refuses the end of a machine that linked clones of this host stand on. They carry a snapshot of it: without one nobody has to look further. */
export async function mustCarryNone(context: HostContext, machineId: string, signal: AbortSignal): Promise<void> {
  const { prlctl } = context;
  const machine = await prlctl.find(machineId, { signal });
  if (!machine || (machine.state !== "invalid" && (await prlctl.snapshotList(machineId, { signal })).length === 0)) return;
  unwrap(mayRetire(machine, await clonesOf(context, machineId, signal)));
}

/** Whatever is done to the source meanwhile may last; the clone's end, which may be a cancelled one's, does not wait for it. The next clone's end tries again. */
const waitForSourceMs = 3_000;

/**
 * After a clone is gone: the source's snapshots that Parallels Desktop made for `isMeant` ones and that nobody stands on. A source that is gone too, or busy,
 * keeps what it has: a snapshot costs it space and nothing else.
 */
export async function dropSnapshots(
  context: HostContext,
  sourceId: string,
  isMeant: (snapshotId: string) => boolean,
  signal: AbortSignal,
): Promise<void> {
  const { prlctl, machines } = context;
  const waiting = AbortSignal.any([signal, AbortSignal.timeout(waitForSourceMs)]);
  try {
    await machines.run(sourceId, waiting, async () => {
      const meant = (await prlctl.snapshotList(sourceId, { signal })).filter(({ id, name }) => name === ownName && isMeant(id));
      if (meant.length === 0) return;
      const carrying = new Set((await clonesOf(context, sourceId, signal)).map(({ snapshotId }) => snapshotId));
      for (const { id } of meant) if (!carrying.has(id)) await prlctl.snapshotRemove(sourceId, { snapshotId: id }, { signal });
    });
  } catch (error) {
    if (signal.aborted || !(error instanceof FaultError || waiting.aborted)) throw error;
  }
}
