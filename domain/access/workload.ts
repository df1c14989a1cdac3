/**
 * Which workloads a rule lets in. Pure.
 *
 * The one idea: the issuers of public platforms sign tokens for everybody, so a rule must say exactly whose workloads it means before anything else counts.
 */
export interface Conditions {
  readonly issuer: string;
  readonly conditions: Readonly<Record<string, string>>;
}

/** Platforms whose tokens anybody can have, and the claims that say whose workload it is. */
const shared: readonly { readonly name: string; readonly of: (issuer: URL) => boolean; readonly owners: readonly string[] }[] = [
  {
    name: "GitHub",
    of: ({ hostname, pathname }) => hostname === "token.actions.githubusercontent.com" || pathname.endsWith("/_services/token"),
    owners: ["repository", "repository_owner", "repository_id", "repository_owner_id"],
  },
  {
    name: "GitLab",
    of: ({ hostname }) => hostname === "gitlab.com",
    owners: ["project_path", "namespace_path", "project_id", "namespace_id"],
  },
];

/** What makes a rule let in more than anybody can have meant. */
export function ruleFaults({ issuer, conditions }: Conditions): string[] {
  const exact = Object.entries(conditions).flatMap(([claim, pattern]) => (pattern.includes("*") ? [] : [claim]));
  const url = URL.parse(issuer);
  const platform = url && shared.find(({ of }) => of(url));
  if (platform && !platform.owners.some((claim) => exact.includes(claim)))
    return [
      `a rule for ${platform.name} must name ${platform.owners.join(" or ")} with an exact value: else anybody's workflow would match`,
    ];
  return exact.length === 0 ? ["a rule must ask for at least one claim with an exact value, without *"] : [];
}

type Claims = Readonly<Record<string, unknown>>;

/** Why the claims do not fit; empty when they do. */
export function misfits({ conditions }: Pick<Conditions, "conditions">, claims: Claims): string[] {
  return Object.entries(conditions).flatMap(([claim, pattern]) => {
    const value = Object.hasOwn(claims, claim) ? textOf(claims[claim]) : null;
    if (value === null) return [`the token has no claim ${claim} with one value`];
    return matches(pattern, value) ? [] : [`${claim} is ${value}, not ${pattern}`];
  });
}

/** The rule that says most about the workload; of equals, the first. */
export const closest = <R extends Pick<Conditions, "conditions">>(fitting: readonly R[]): R | null =>
  fitting.toSorted((a, b) => Object.keys(b.conditions).length - Object.keys(a.conditions).length)[0] ?? null;

const textOf = (value: unknown): string | null =>
  typeof value === "string" ? value : typeof value === "number" || typeof value === "boolean" ? String(value) : null;

/**
 * `*` stands for anything but the marks that part a name, so that nobody names a branch `x:environment:production`; `**` for anything at all.
 * Every position that the pattern can have reached is followed at once: no pattern and no value makes it slow.
 */
export function matches(pattern: string, value: string): boolean {
  const parts = pattern.match(/\*\*|\*|[^*]/gsu) ?? [];
  const mayBeEmpty = (positions: Set<number>) => {
    for (const at of positions) if (parts[at]?.startsWith("*")) positions.add(at + 1);
    return positions;
  };
  let reached = mayBeEmpty(new Set([0]));
  for (const letter of value) {
    const next = new Set<number>();
    for (const at of reached) {
      const part = parts[at];
      if (part === "**" || (part === "*" && letter !== "/" && letter !== ":")) next.add(at);
      else if (part === letter) next.add(at + 1);
    }
    reached = mayBeEmpty(next);
  }
  return reached.has(parts.length);
}
