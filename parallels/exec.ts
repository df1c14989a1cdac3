/**
 * Commands in a guest, through Parallels Tools.
 *
 * The one idea: script and environment travel on standard input, because a command line shows in process lists, is split anew in the guest
 * and hangs prlctl for ever above 3.9 KB. Standard input stays open to the end, because prlctl loses the exit code otherwise; so the shell
 * must end by itself, and gets the script as one quoted word followed by `exit`.
 */
import { FaultError } from "../domain/errors.ts";
import { handleOf, valueOf } from "./arguments.ts";
import { outcomeOf } from "./errors.ts";
import type { Call } from "./prlctl.ts";
import { run, type RunOptions } from "./run.ts";

interface Streams {
  /** The guest's account; without it root. */
  readonly user?: string | undefined;
  readonly onStdout?: ((bytes: Buffer) => void) | undefined;
  readonly onStderr?: ((bytes: Buffer) => void) | undefined;
}
/** A script for the guest's `/bin/sh`, or one command with words that need no quoting: a probe. */
export type Exec = Streams &
  (
    | { readonly script: string; readonly environment?: Readonly<Record<string, string>> | undefined }
    | { readonly command: readonly string[] }
  );

export interface Executed {
  readonly exitCode: number;
  /** The first 64 KiB of each; the callbacks get everything. */
  readonly stdout: string;
  readonly stderr: string;
}

const keepBytes = 64 * 1024;
/** prlctl's own message stands at the end of stderr, behind whatever the guest wrote. */
const tailBytes = 4096;
/** Well below the 3.9 KB at which prlctl hangs. */
const mostArgvBytes = 3500;
/** Callers with a time of their own give it; a build that runs longer than a day has gone wrong. */
const usualMs = 24 * 3600 * 1000;

export async function execIn(
  { prlctlPath, onBegun }: { prlctlPath: string; onBegun: RunOptions["onBegun"] },
  machine: string,
  what: Exec,
  call: Call | undefined,
): Promise<Executed> {
  const words = "script" in what ? ["/bin/sh", "-s"] : what.command.map((word) => wordOf(word));
  const user = what.user === undefined ? [] : ["--user", valueOf("guest's account", what.user)];
  const argv = ["exec", handleOf(machine), ...user, ...words];
  if (Buffer.byteLength(argv.join(" ")) > mostArgvBytes) throw refused(`it is longer than ${mostArgvBytes} bytes; send it as a script`);

  let tail = Buffer.alloc(0);
  const ran = await run(prlctlPath, argv, {
    signal: call?.signal,
    timeoutMs: call?.timeoutMs ?? usualMs,
    input: "script" in what ? inputOf(what.script, what.environment ?? {}) : "",
    keepBytes,
    onBegun,
    ...(what.onStdout && { onStdout: what.onStdout }),
    onStderr: (bytes) => {
      tail = Buffer.concat([tail, bytes]).subarray(-tailBytes);
      what.onStderr?.(bytes);
    },
  });
  const outcome = outcomeOf(machine, { ...ran, stderr: tail.toString("utf8") });
  if ("fault" in outcome) throw outcome;
  return { exitCode: outcome.exitCode, stdout: ran.stdout, stderr: ran.stderr };
}

const refused = (why: string) => new FaultError({ code: "argument_refused", message: `The command cannot be run in the guest: ${why}.` });

/** The guest splits the joined words at blanks and knows no quotes. */
function wordOf(word: string): string {
  if (word === "" || /[\s\0'"\\]/.test(word)) throw refused("it has words with blanks or quotes; send it as a script");
  return word;
}

/** The script reads nothing: what follows it on standard input is not its own. */
function inputOf(script: string, environment: Readonly<Record<string, string>>): string {
  const exports = Object.entries(environment).map(([name, value]) => {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw refused(`${JSON.stringify(name)} is no name of a variable`);
    return `export ${name}=${quoted(value)}\n`;
  });
  return `${exports.join("")}eval ${quoted(script)} </dev/null; exit $?\n`;
}

function quoted(text: string): string {
  if (text.includes("\0")) throw refused("it contains a NUL character");
  return `'${text.replaceAll("'", "'\\''")}'`;
}
