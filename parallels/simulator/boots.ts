/**
 * Reboots of a simulated Mac: what ran stands still afterwards, what was suspended stays so.
 *
 * The one idea: how often it booted stands in a file of its home, since it shares the real boot with the computer that simulates it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { pathsIn } from "./home.ts";
import { openRegistry } from "./registry.ts";

export function bootsOf(home: string): number {
  try {
    return Number(readFileSync(pathsIn(home).boots, "utf8"));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return 0;
    throw error;
  }
}

/** As if its power had been cut for a moment; whoever runs its host worker ends that first. */
export function rebootSimulator(home: string): void {
  const registry = openRegistry(home);
  registry.alone(() => {
    for (const machine of registry.all())
      if (machine.settled !== "suspended") registry.put({ ...machine, settled: "stopped", passing: null, guest: null });
  });
  writeFileSync(pathsIn(home).boots, String(bootsOf(home) + 1));
}
