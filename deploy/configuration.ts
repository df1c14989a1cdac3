/**
 * Reads this process's configuration, and tells people what stops a program: one sentence and the remedy, never a stack trace.
 *
 * The one idea: programs that people start share one way to fail, so each message about a port, a disk or a variable is written once.
 */
import { readFileSync } from "node:fs";
import { withSecretFiles } from "../domain/config/files.ts";
import { type Config, type Environment, readConfig } from "../domain/config/schema.ts";
import { FaultError, factsOf, unwrap } from "../domain/errors.ts";
import { toldMessage } from "../workers/log.ts";

/** This process's variables, with secrets that lie in files. Children are given the files' names, as this process was. */
export const environment = (): Environment => withSecretFiles(process.env, (path) => readFileSync(path, "utf8"));

export const loadConfig = (): Config => unwrap(readConfig(environment(), process.cwd()));

/** Runs a program to its end; the process ends with its answer, or with 1 after a message. */
export async function main(program: () => Promise<number>): Promise<void> {
  try {
    process.exit(await program());
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    process.exit(1);
  }
}

export function explain(error: unknown): string {
  if (error instanceof FaultError) return `drover: ${listed(error)}\n${factsOf(error.fault.code).remedy}`;
  const reason = error instanceof Error ? toldMessage(error) : String(error);
  if (error instanceof Error && "code" in error && error.code === "ENOSPC")
    return `drover: The disk is full. ${factsOf("disk_full").remedy}`;
  return `drover: ${reason}`;
}

/** The mistakes of a configuration, one per line. */
function listed({ fault }: FaultError): string {
  const mistakes = fault.details?.["mistakes"];
  if (fault.code !== "configuration_invalid" || !Array.isArray(mistakes)) return fault.message;
  return `The configuration has mistakes:\n${mistakes.map((mistake) => `  ${String(mistake)}`).join("\n")}`;
}

/** One line about variables that the Parallels DevOps service reads and Drover does not need. */
export const aboutIgnored = ({ ignored }: Config): string[] =>
  ignored.length === 0 ? [] : [`These variables have no meaning here and are ignored: ${ignored.join(", ")}.`];
