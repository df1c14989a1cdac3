/** What a machine that is to be made asks of its host. */
import { isMacOS } from "../machines/rules.ts";
import type { Machine } from "../machines/schema.ts";
import type { Demand, Labels, Profile } from "./rules.ts";

/** The part of a request that chooses hosts. */
export interface Wish {
  readonly hostId: string | null;
  readonly hostLabels: readonly string[];
  readonly start: boolean;
  readonly tolerates: readonly string[];
  readonly apartFrom: Labels;
  readonly profile: Profile;
}

/** What a machine asks that does not choose. */
export const anywhere = { anyLabel: [], tolerates: [], apartFrom: {}, profile: "spread", digest: "", excluded: [] } as const;

export function demandOf(
  { vcpus, memoryBytes, diskBytes, kind }: Pick<Machine, "vcpus" | "memoryBytes" | "diskBytes" | "kind">,
  { architecture, digest }: { readonly architecture: string; readonly digest: string },
  { hostId, hostLabels: anyLabel, start: runs, tolerates, apartFrom, profile }: Wish,
  excluded: readonly string[] = [],
): Demand {
  const sizes = { vcpus, memoryBytes, diskBytes, macos: isMacOS(kind) };
  return { architecture, ...sizes, hostId: hostId ?? undefined, anyLabel, tolerates, apartFrom, profile, digest, excluded, runs };
}
