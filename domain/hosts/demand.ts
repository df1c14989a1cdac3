/** What a machine that is to be made asks of its host. */
import { isMacOS } from "../machines/rules.ts";
import type { Machine } from "../machines/schema.ts";
import type { Demand } from "./rules.ts";

/** The part of a request that chooses hosts. */
export interface Wish {
  readonly hostId: string | null;
  readonly hostLabels: readonly string[];
  readonly start: boolean;
}

export function demandOf(
  { vcpus, memoryBytes, diskBytes, kind }: Pick<Machine, "vcpus" | "memoryBytes" | "diskBytes" | "kind">,
  { architecture, digest }: { readonly architecture: string; readonly digest: string },
  { hostId, hostLabels: anyLabel, start: runs }: Wish,
  excluded: readonly string[] = [],
): Demand {
  const sizes = { vcpus, memoryBytes, diskBytes, macos: isMacOS(kind) };
  return { architecture, ...sizes, hostId: hostId ?? undefined, anyLabel, digest, excluded, runs };
}
