/**
 * Runs one program to its end: argument array, a time limit, its output as text.
 *
 * The one idea: a program that fails is an answer, not an exception, because callers here try the next way or explain the last lines.
 */
import { spawn } from "node:child_process";
import { FaultError } from "../../domain/errors.ts";

export interface RunOptions {
  /** Why this number is said where it is chosen. */
  readonly timeoutMs: number;
  readonly cwd?: string;
  readonly user?: { readonly uid: number; readonly gid: number };
}

export interface Outcome {
  /** `null`: it did not start, or was ended by a signal or by the time limit. */
  readonly code: number | null;
  readonly output: string;
  readonly missing: boolean;
}

/** The tail is enough for any message; what comes before is dropped. */
const keptCharacters = 64 * 1024;

export async function run(command: string, args: readonly string[], { timeoutMs, cwd, user }: RunOptions): Promise<Outcome> {
  const child = spawn(command, args, {
    cwd: cwd ?? "/",
    stdio: ["ignore", "pipe", "pipe"],
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    ...user,
  });
  let output = "";
  const keep = (part: string) => (output = `${output}${part}`.slice(-keptCharacters));
  child.stdout.setEncoding("utf8").on("data", keep);
  child.stderr.setEncoding("utf8").on("data", keep);
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  child.on("error", (error: NodeJS.ErrnoException) => resolve({ code: null, output: error.message, missing: error.code === "ENOENT" }));
  child.on("close", (code, signal) =>
    resolve({ code, output: signal === "SIGKILL" ? `${output}\nno answer within ${timeoutMs / 1000} s` : output, missing: false }),
  );
  return promise;
}

/** Runs a program that must succeed; a failure is told with its last lines. */
export async function must(command: string, args: readonly string[], options: RunOptions & { readonly why: string }): Promise<string> {
  const { code, output } = await run(command, args, options);
  if (code === 0) return output;
  if (/no space left|ENOSPC/i.test(output))
    throw new FaultError({ code: "disk_full", message: `${options.why} failed: the disk is full.` });
  throw new FaultError({ code: "part_failed", message: `${options.why} failed: ${lastLines(output)}` });
}

export const lastLines = (output: string, count = 3) => output.trim().split("\n").slice(-count).join(" / ").trim();
