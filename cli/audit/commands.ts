/** `drover audit`: who did what, and the proof of it. */
import type { Command } from "commander";
import { declare, declareGroup, type Answer } from "../declare.ts";

export function auditCommands(program: Command, answer: Answer): void {
  const audit = declareGroup(program, { name: "audit", summary: "Show who did what, and prove that nobody edited it" });
  declare(
    audit,
    {
      usage: "list",
      summary: "List audit records, newest first",
      alias: "ls",
      options: [
        ["--actor <name>", "of this user"],
        ["--action <name>", "such as push.accepted or host.enrol"],
        ["--subject <name>", "about this"],
        ["--outcome <what>", "accepted, done, failed, cancelled or refused"],
        ["--operation <id>", "of this operation"],
        ["--since <time>", "from then on: a time as in 2026-11-21T08:00:00Z, or a span such as 2h"],
        ["--until <time>", "before then"],
        ["--limit <n>", "at most so many (default 50); 0 for all"],
      ],
      examples: ["drover audit list --outcome refused --since 24h", "drover audit list --limit 0 --json > audit.json"],
      run: async () => (await import("./records.ts")).listAudit,
    },
    answer,
  );
  declare(
    audit,
    {
      usage: "verify",
      summary: "Prove that no audit record was edited or removed",
      options: [["--known <number:hash>", "a record that was written down before, as this command prints it: it must still be there"]],
      examples: ["drover audit verify", "drover audit verify --known 4711:9f86d081884c7d65..."],
      run: async () => (await import("./records.ts")).verifyAudit,
    },
    answer,
  );
}
