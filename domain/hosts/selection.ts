/** Which hosts somebody means who names some, says labels, or says all. A pure decision over what is known of hosts. */
import type { Architecture } from "../catalog/rules.ts";

export interface Selection {
  readonly hostIds: readonly string[];
  readonly labels: readonly string[];
  readonly all: boolean;
}

interface Selectable {
  readonly id: string;
  readonly enabled: boolean;
  readonly labels: readonly string[];
  readonly facts: { readonly architecture: string } | null;
}

/** Named hosts are meant whatever they are; of the others those that take work and can run the image. */
export function targetsOf<H extends Selectable>(hosts: readonly H[], wanted: Selection & { readonly architecture: Architecture }): H[] {
  const labels = new Set(wanted.labels.map((label) => label.toLowerCase()));
  return hosts.filter(({ id, enabled, labels: own, facts }) => {
    if (wanted.hostIds.length > 0) return wanted.hostIds.includes(id);
    const fits = enabled && facts?.architecture === wanted.architecture;
    return fits && (wanted.all || own.some((label) => labels.has(label.toLowerCase())));
  });
}
