/** `drover login`, `drover logout`, `drover whoami`. */
import type { Command } from "commander";
import { declare, type Answer } from "../declare.ts";

export function accessCommands(program: Command, answer: Answer): void {
  declare(
    program,
    {
      usage: "login [url]",
      summary: "Log in to a hub and keep the token for the next commands",
      options: [
        ["-u, --username <name>", "who logs in; asked for on a terminal"],
        ["--provider <name>", "log in through this identity provider, in a browser"],
        ["--device", "with --provider: in a browser of any other device"],
        ["--redirect-port <n>", "with --provider: the port of this computer that the provider knows, instead of any"],
        ["--workload", "log in as a pipeline, with the token of its platform"],
        ["--token-file <path>", "that token, instead of DROVER_ID_TOKEN or what GitHub Actions gives"],
        ["--audience <word>", "what the token is asked for from GitHub Actions; the hub's address by default"],
      ],
      examples: [
        "drover login https://hub.example.com",
        "drover login https://hub.example.com --username build < password.txt",
        "drover login https://hub.example.com --provider sso",
        "drover login https://hub.example.com --workload",
      ],
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
