/** Commands about this computer and the command line itself: run, start, config, temporal, reset, doctor, version, completion. */
import type { Command } from "commander";
import { declare, declareGroup, type Answer, type Declaration } from "../declare.ts";
import { processNames } from "../parts.ts";

export function systemCommands(program: Command, answer: Answer): void {
  for (const declaration of [...running, ...looking]) declare(program, declaration, answer);
  const temporal = declareGroup(program, { name: "temporal", summary: "Prepare a Temporal server of your own" });
  declare(temporal, setup, answer);
  declare(
    program,
    {
      usage: "completion <shell>",
      summary: "Print completion for bash, zsh or fish",
      examples: ['eval "$(drover completion bash)"', 'eval "$(drover completion zsh)"', "drover completion fish | source"],
      run: async () => (await import("./completion.ts")).completion(program),
    },
    answer,
  );
}

const running: readonly Declaration[] = [
  {
    usage: "start",
    summary: "Start the embedded stack: database, Temporal, hub, gateway, hosts",
    examples: ["drover start"],
    run: async () => (await import("./run.ts")).start,
  },
  {
    usage: "run <process>",
    summary: `Run one process in the foreground: ${processNames.join(", ")}`,
    examples: ["drover run api", "drover run host"],
    run: async () => (await import("./run.ts")).run,
  },
  {
    usage: "reset",
    summary: "Remove all state of the embedded stack on this computer",
    options: [["--yes", "do not ask"]],
    examples: ["drover reset --yes"],
    run: async () => (await import("./reset.ts")).reset,
  },
];

const looking: readonly Declaration[] = [
  {
    usage: "config",
    summary: "Show the configuration that is in force, secrets masked",
    options: [["--explain", "say what each variable means"]],
    examples: ["drover config", "DROVER_HOME=/srv/drover drover config --explain"],
    run: async () => (await import("./config.ts")).config,
  },
  {
    usage: "doctor",
    summary: "Tell what works here, what does not, and the remedy",
    examples: ["drover doctor"],
    run: async () => (await import("./doctor.ts")).doctor,
  },
  {
    usage: "version",
    summary: "Show the version of this command",
    examples: ["drover version --json"],
    run: async () => (await import("./version.ts")).version,
  },
];

const setup: Declaration = {
  usage: "setup",
  summary: "Make the namespace with its retention and search attributes; again changes nothing",
  options: [["--print", "print the commands for the `temporal` command line instead"]],
  examples: ["drover temporal setup", "TEMPORAL_ADDRESS=temporal.example.com:7233 drover temporal setup --print"],
  run: async () => (await import("./temporal.ts")).setupTemporal,
};
