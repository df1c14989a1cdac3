/** `drover api-key`: keys for programs that cannot log in otherwise. */
import type { Command } from "commander";
import { declare, declareGroup, type Answer, type Declaration } from "../declare.ts";

export function apiKeyCommands(program: Command, answer: Answer): void {
  const group = declareGroup(program, { name: "api-key", summary: "Make, show and revoke API keys for programs" });
  for (const declaration of declarations) declare(group, declaration, answer);
}

const declarations: readonly Declaration[] = [
  {
    usage: "list",
    summary: "List API keys, never a secret",
    alias: "ls",
    examples: ["drover api-key list"],
    run: async () => (await import("./keys.ts")).listKeys,
  },
  {
    usage: "add <name>",
    summary: "Make an API key and show its secret, this once",
    options: [
      ["--claim <id>", "limit it to this claim of its user", "several"],
      ["--expires <duration>", "when it ends, such as 12h or 30d (default 90d); never for a key that does not"],
      ["--user <name>", "whose key it is; for super users"],
    ],
    examples: ["drover api-key add nightly --claim LIST_VM --claim CREATE_VM --expires 30d"],
    run: async () => (await import("./keys.ts")).addKey,
  },
  {
    usage: "revoke <name>",
    summary: "Revoke an API key and every token that it gave, at once",
    alias: "rm",
    examples: ["drover api-key revoke nightly"],
    run: async () => (await import("./keys.ts")).revokeKey,
  },
];
