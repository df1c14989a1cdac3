/** `drover event`: what happens on the hub. */
import type { Command } from "commander";
import { declare, declareGroup, type Answer } from "../declare.ts";

const types = ["--type <pattern>", "such as machine.* or operation.failed; may be given several times; all without it", "several"] as const;

export function eventCommands(program: Command, answer: Answer): void {
  const event = declareGroup(program, { name: "event", summary: "Show what happens on the hub" });
  declare(
    event,
    {
      usage: "list",
      summary: "List what happened, oldest first",
      alias: "ls",
      options: [
        types,
        ["--since <number>", "after the event of this number; without it, of the newest thousand"],
        ["--limit <n>", "at most so many (default 200); 0 for all"],
      ],
      examples: ["drover event list --type host.lost", "drover event list --since 4711 --json"],
      run: async () => (await import("./events.ts")).listEvents,
    },
    answer,
  );
  declare(
    event,
    {
      usage: "follow",
      summary: "Show what happens as it happens, through restarts of the hub; with --json one event per line",
      options: [types, ["--since <number>", "begin after the event of this number"], ["--limit <n>", "end after so many"]],
      examples: ["drover event follow --type 'machine.*'", "drover event follow --type operation.failed --limit 1 --json"],
      run: async () => (await import("./events.ts")).followEvents,
    },
    answer,
  );
}
