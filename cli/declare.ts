/**
 * How a command is declared: its usage, options, examples, and where its work is.
 *
 * The one idea: a declaration loads nothing; the file that does the work is imported when the command runs, so the command line starts at once.
 */
import { type Command, Option } from "commander";
import { withOptions, type Context } from "./context.ts";

/** Answers the exit code; nothing means 0, null that the process goes on by itself. */
export type Action = (context: Context, args: readonly string[], options: unknown) => Promise<number | null | void>;

export interface Declaration {
  /** `<name> <required> [optional] [several...]` */
  readonly usage: string;
  readonly summary: string;
  readonly alias?: string;
  readonly examples: readonly string[];
  readonly options?: ReadonlyArray<readonly [flags: string, description: string, several?: "several"]>;
  /** Starts an operation: may wait for it or not. */
  readonly waits?: boolean;
  /** What follows the arguments belongs to somebody else, options included. */
  readonly passThrough?: boolean;
  readonly run: () => Promise<Action>;
}

export interface Group {
  readonly name: string;
  readonly summary: string;
}

/** What the parsed command answers with; the program reads it after parsing. */
export interface Answer {
  exitCode: number | null;
  context: Context;
}

const waiting = [
  ["--detach", "print the operation and do not wait for it"],
  ["--timeout <duration>", "how long to wait, such as 90s or 2h; the operation goes on after that"],
  ["--on-fault <what>", "what a step does that an operator could mend: park (wait for one, the default) or fail"],
] as const;

export function declareGroup(parent: Command, { name, summary }: Group): Command {
  return parent.command(name).summary(summary).description(`${summary}.`).helpCommand(false);
}

export function declare(parent: Command, declaration: Declaration, answer: Answer): Command {
  const { usage, summary, examples, options = [], waits = false, passThrough = false, run } = declaration;
  const command = parent.command(usage).summary(summary).description(`${summary}.`);
  for (const [flags, description, several] of [...options, ...(waits ? waiting : [])])
    command.addOption(optionOf(flags, description, several));
  command.option("--json", "print one JSON document").option("-q, --quiet", "no progress and no remarks");
  if (declaration.alias !== undefined) command.alias(declaration.alias);
  if (passThrough) command.passThroughOptions();
  command.addHelpText("after", `\nExample${examples.length === 1 ? "" : "s"}:\n${examples.map((example) => `  $ ${example}`).join("\n")}`);
  command.action(async () => {
    const given: Record<string, unknown> = command.opts();
    answer.context = withOptions(answer.context, { json: given["json"] === true, quiet: given["quiet"] === true });
    const action = await run();
    const ended = await action(answer.context, command.args, given);
    answer.exitCode = ended === undefined ? 0 : ended;
  });
  return command;
}

function optionOf(flags: string, description: string, several: "several" | undefined): Option {
  const option = new Option(flags, description);
  if (several) option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), value]);
  return option;
}
