/** `drover login`, `drover logout`, `drover whoami`. */
import type { Command } from "commander";
import { declare, type Answer } from "../declare.ts";

export function accessCommands(program: Command, answer: Answer): void {
  declare(
    program,
    {
      usage: "login [url]",
      summary: "Log in to a hub and keep the token for the next commands",
      options: [["-u, --username <name>", "who logs in; asked for on a terminal"]],
      examples: ["drover login https://hub.example.com", "drover login https://hub.example.com --username build < password.txt"],
      run: async () => (await import("./login.ts")).login,
    },
    answer,
  );
  declare(
    program,
    {
      usage: "logout",
      summary: "Forget the login of this user",
      examples: ["drover logout"],
      run: async () => (await import("./who.ts")).logout,
    },
    answer,
  );
  declare(
    program,
    {
      usage: "whoami",
      summary: "Show which hub is asked, and in whose name",
      examples: ["drover whoami"],
      run: async () => (await import("./who.ts")).whoami,
    },
    answer,
  );
}
