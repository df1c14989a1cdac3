/**
 * The tree of commands, and what becomes of one line that somebody typed.
 *
 * The one idea: whatever happens, a command ends with one exit code and at most one problem told.
 */
import { Command, CommanderError } from "commander";
import { accessCommands } from "./access/commands.ts";
import { apiKeyCommands } from "./api-keys/commands.ts";
import { auditCommands } from "./audit/commands.ts";
import { cachingCommands } from "./catalog/caching.ts";
import { catalogCommands } from "./catalog/commands.ts";
import { managerCommands } from "./catalog/manager-commands.ts";
import { withOptions, type Context } from "./context.ts";
import type { Answer } from "./declare.ts";
import { eventCommands } from "./events/commands.ts";
import { describeExitCodes, exitCodes } from "./exit-codes.ts";
import { keyCommands } from "./keys/commands.ts";
import { hostCommands } from "./hosts/commands.ts";
import { identityCommands } from "./identity/commands.ts";
import { machineCommands } from "./machines/commands.ts";
import { movingCommands } from "./moving/commands.ts";
import { operationCommands } from "./operations/commands.ts";
import { exitCodeOfError, problemOf, tellProblem } from "./problem.ts";
import { poolCommands } from "./pools/commands.ts";
import { projectCommands } from "./projects/commands.ts";
import { systemCommands } from "./system/commands.ts";
import { webhookCommands } from "./webhooks/commands.ts";

/** Answers the exit code; null where the process goes on by itself. */
export async function runCommand(context: Context, args: readonly string[]): Promise<number | null> {
  const answer: Answer = { exitCode: 0, context: withOptions(context, { json: asksForJson(args), quiet: false }) };
  try {
    await makeProgram(answer).parseAsync(args, { from: "user" });
    return answer.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return usage(answer.context, error);
    tellProblem(answer.context, problemOf(error), error);
    return exitCodeOfError(error);
  }
}

export function makeProgram(answer: Answer): Command {
  const { streams } = answer.context;
  const program = new Command("drover").description("Runs Parallels Desktop virtual machines on a fleet of Macs.").helpCommand(false);
  program.enablePositionalOptions().exitOverride();
  program.configureOutput({ writeOut: (text) => void streams.out.write(text), writeErr: () => undefined });
  program.configureHelp({ helpWidth: streams.out.columns ?? 100, sortSubcommands: false });
  for (const add of [
    accessCommands,
    catalogCommands,
    cachingCommands,
    managerCommands,
    machineCommands,
    poolCommands,
    hostCommands,
    operationCommands,
    movingCommands,
    auditCommands,
    eventCommands,
    webhookCommands,
    identityCommands,
    projectCommands,
    apiKeyCommands,
    keyCommands,
    systemCommands,
  ])
    add(program, answer);
  helpCommand(program, answer);
  program.addHelpText(
    "after",
    "\n`drover help <command>` and `drover <command> --help` explain a command, `drover help exit-codes` the exit codes.",
  );
  inherit(program);
  return program;
}

/** commander hands settings down when a command is made; ours are made before their parents are complete. */
function inherit(parent: Command): void {
  for (const command of parent.commands) {
    command.copyInheritedSettings(parent);
    inherit(command);
  }
}

function helpCommand(program: Command, answer: Answer): void {
  program
    .command("help [command...]")
    .summary("explain a command, or `exit-codes`")
    .action((words: string[]) => {
      if (words[0] === "exit-codes") return void answer.context.streams.out.write(describeExitCodes());
      const found = words.reduce<Command | undefined>((at, word) => at?.commands.find((command) => command.name() === word), program);
      if (!found) return program.error(`error: there is no command '${words.join(" ")}'`);
      found.outputHelp();
    });
}

/** Help that was asked for is no mistake; a command without its subcommand shows help and is one. */
function usage(context: Context, error: CommanderError): number {
  if (error.code === "commander.helpDisplayed" || error.code === "commander.version") return exitCodes.done.code;
  const message = error.code === "commander.help" ? "The command is not complete." : sentence(error.message.replace(/^error: /, ""));
  tellProblem(context, { code: "usage", message, remedy: "`drover --help` lists the commands, `drover <command> --help` explains one." });
  return exitCodes.usage.code;
}

const sentence = (text: string): string => {
  const [first = "", ...rest] = text.trim().split("\n");
  const words = [first, ...rest].join(" ");
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}${/[.?!)]$/.test(words) ? "" : "."}`;
};

/** Before the options are parsed, a mistake in them is already told in the way that was asked for. */
const asksForJson = (args: readonly string[]): boolean =>
  args.slice(0, args.includes("--") ? args.indexOf("--") : undefined).includes("--json");
