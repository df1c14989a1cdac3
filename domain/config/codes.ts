/** Faults of a start: what the computer, the folder of state, or the parts of the embedded stack lack. */
import type { CodeFacts } from "../errors.ts";

export const configCodes = {
  tool_missing: { kind: "unavailable", remedy: "Install what the message names, or set the variable that it names, then start again." },
  port_in_use: { kind: "conflict", remedy: "Stop the program that uses the port, or choose another one with the named variable." },
  home_in_use: {
    kind: "conflict",
    remedy: "Use the Drover that runs already, stop it with Ctrl-C, or choose another folder with DROVER_HOME.",
  },
  home_unknown: {
    kind: "conflict",
    remedy: "Use the release that wrote the folder, choose another one with DROVER_HOME, or remove it with `drover reset`.",
  },
  home_unusable: { kind: "unavailable", remedy: "Choose a folder that may be written to with DROVER_HOME." },
  disk_full: { kind: "unavailable", remedy: "Free space on that disk, or choose a folder on another one with DROVER_HOME." },
  part_failed: { kind: "unavailable", remedy: "Read the last lines of the log that the message names." },
  schema_newer: { kind: "conflict", remedy: "Run the newer release that migrated this database, or restore the backup from before." },
  schema_older: {
    kind: "unavailable",
    remedy: "Start the hub of this release, which migrates the database, then start this process again.",
  },
} as const satisfies Record<string, CodeFacts>;
