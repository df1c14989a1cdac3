/**
 * Which families of routes a hub has, as the words of the wire ask for them. Pure.
 *
 * The one idea: some words bring others along, as they do at the service whose words they are: who serves hosts serves their caches and proxies too, and
 * only a pure catalog has no way to other catalogs.
 */
export const modules = ["api", "host", "orchestrator", "catalog", "catalog_manager", "reverse_proxy", "cache", "cors"] as const;
export type Module = (typeof modules)[number];

export function modulesOf(asked: readonly string[]): Module[] {
  const on = new Set<string>(["api", ...asked]);
  if (on.has("host")) for (const along of ["cache", "reverse_proxy"]) on.add(along);
  if (on.has("catalog") && !on.has("host") && !on.has("orchestrator")) on.delete("catalog_manager");
  else on.add("catalog_manager");
  return modules.filter((module) => on.has(module));
}
