/** The simulated `prlsrvctl`: what the host and its licence are. */
import { runCommand } from "./main.ts";
import type { Verb } from "./command.ts";

const verbs: Readonly<Record<string, () => Promise<Verb>>> = {
  info: async () => (await import("./server.ts")).info,
  user: async () => (await import("./server.ts")).user,
  net: async () => (await import("./server.ts")).net,
};

await runCommand(process.argv.slice(2), verbs, `Usage: prlsrvctl ACTION [OPTIONS]\nActions: ${Object.keys(verbs).join(", ")}`);
