/** Which releases of the host worker a fleet runs. Pure. */
interface Versioned {
  readonly name: string;
  readonly facts: { readonly workerVersion: string } | null;
}

export interface RunVersion {
  readonly version: string;
  readonly hosts: readonly string[];
}

/** Each with the hosts that run it, the one that most run first. Hosts that never told anything run none. */
export function versionsOf(hosts: readonly Versioned[]): RunVersion[] {
  const told = hosts.flatMap(({ name, facts }) => (facts ? [{ name, version: facts.workerVersion }] : []));
  return [...Map.groupBy(told, ({ version }) => version)]
    .map(([version, some]) => ({ version, hosts: some.map(({ name }) => name).toSorted() }))
    .toSorted((a, b) => b.hosts.length - a.hosts.length || a.version.localeCompare(b.version));
}

/** The sentence for a fleet of several releases; null for one of a single one, or of none. `hub`: hosts of another release than the hub's count too. */
export function mixedVersions(hosts: readonly Versioned[], hub?: string): string | null {
  const found = versionsOf(hosts);
  if (found.length === 0 || (found.length === 1 && (hub === undefined || found[0]?.version === hub))) return null;
  const [most, ...others] = found;
  const usual = hub ?? most?.version ?? "";
  const differing = [most, ...others].flatMap((one) => (one && one.version !== usual ? [`${one.version} on ${few(one.hosts)}`] : []));
  return `Hosts run other releases than ${usual}: ${differing.join("; ")}.`;
}

const few = (names: readonly string[]): string =>
  names.length <= 5 ? names.join(", ") : `${names.slice(0, 5).join(", ")} and ${names.length - 5} more`;
