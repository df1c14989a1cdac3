/**
 * Bundles with a mark that no machine is registered of: what was unregistered by hand, what a restored disk brought back, what somebody copied.
 *
 * The one idea: nothing of ours is invisible. The very bundle that was marked goes by the machine's id; a copy has none, so its path gives it one.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import type { ObservedMachine } from "../../domain/machines/schema.ts";
import { elementOf } from "../../parallels/bundle/config.ts";
import type { HostContext } from "./context.ts";
import { markedBundles, realOf, type FoundMark, type MarkedBundle } from "./mark.ts";

export interface Unregistered extends MarkedBundle {
  readonly id: string;
  readonly copied: boolean;
}

/** `registered`: what Parallels Desktop has. */
export async function unregisteredBundles(
  { machineFolder, roots }: Pick<HostContext, "machineFolder" | "roots">,
  registered: readonly { readonly id: string; readonly bundlePath: string | null }[],
): Promise<Unregistered[]> {
  const folders = new Set(await Promise.all([machineFolder, ...(roots ?? [])].map(realOf)));
  const taken = new Set(await Promise.all(registered.flatMap(({ bundlePath }) => (bundlePath === null ? [] : [realOf(bundlePath)]))));
  // One of which Parallels Desktop does not tell where it lies is registered all the same.
  const hidden = new Set(registered.flatMap(({ id, bundlePath }) => (bundlePath === null ? [id] : [])));
  const found = (await Promise.all([...folders].map(markedBundles))).flat();
  const marked = found.filter(({ path, mark }) => !taken.has(path) && !hidden.has(mark.machineId));
  const ids = new Set(registered.map(({ id }) => id));
  // The marked ones first: what else names the same machine is a copy of it.
  return marked
    .toSorted((one, other) => Number(one.mark.copied) - Number(other.mark.copied))
    .map(({ path, mark }) => {
      const copied = mark.copied || ids.has(mark.machineId);
      const id = copied ? idOfPath(path) : mark.machineId;
      ids.add(id);
      return { path, mark, id, copied };
    });
}

/** A UUID that stays the same as long as the bundle stays where it is. */
function idOfPath(path: string): string {
  const hex = createHash("sha256").update(path).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

export async function observedBundle({ path, mark, id, copied }: Unregistered): Promise<ObservedMachine> {
  const xml = await readFile(join(path, "config.pvs"), "utf8").catch(() => "");
  const name = elementOf(xml, "VmName") ?? "";
  return {
    id,
    name: name === "" ? basename(path, extname(path)) : name,
    state: "stopped",
    kind: path.endsWith(".macvm") ? "macvm" : "pvm",
    guestOs: null,
    vcpus: 0,
    memoryBytes: 0,
    diskBytes: 0,
    macAddress: null,
    addresses: [],
    bundlePath: path,
    tools: null,
    mark: markOf(id, { ...mark, copied }),
    unregistered: true,
    raw: {},
  };
}

/** What the hub is told of a mark. */
export function markOf(id: string, { hubId, machineId, epoch, operationId, copied, adopted }: FoundMark): ObservedMachine["mark"] {
  const other = machineId === id ? {} : { machineId };
  return { hubId, epoch, operationId, ...other, ...(copied ? { copied } : {}), ...(adopted ? { adopted } : {}) };
}
