/**
 * Linked clones and the snapshots of their sources that they stand on.
 *
 * The one idea: Parallels Desktop makes such a snapshot for a clone and forgets whose it is; the clones' own configurations tell, so the last clone that
 * stands on one takes it along.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FaultError } from "../../domain/errors.ts";
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

/** Whatever is done to the source meanwhile may last; the clone's end does not wait for it. */
const waitForSourceMs = 10_000;

/** After a clone is gone. A source that is gone too, or busy, keeps what it has: the snapshot costs it space and nothing else. */
export async function dropSnapshotOf(context: HostContext, { sourceId, snapshotId }: Origin, signal: AbortSignal): Promise<void> {
  const { prlctl, machines } = context;
  const waiting = AbortSignal.any([signal, AbortSignal.timeout(waitForSourceMs)]);
  try {
    await machines.run(sourceId, waiting, async () => {
      if (!(await prlctl.find(sourceId, { signal }))) return;
      const snapshot = (await prlctl.snapshotList(sourceId, { signal })).find(({ id }) => id === snapshotId);
      if (snapshot?.name !== ownName) return;
      if ((await clonesOf(context, sourceId, signal)).some((clone) => clone.snapshotId === snapshotId)) return;
      await prlctl.snapshotRemove(sourceId, { snapshotId }, { signal });
    });
  } catch (error) {
    if (signal.aborted || !(error instanceof FaultError || waiting.aborted)) throw error;
  }
}
