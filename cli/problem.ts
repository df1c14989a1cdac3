/**
 * How the command line tells an error: what happened, then what to do next.
 *
 * The one idea: whatever was thrown becomes one problem with a code, a message and a remedy; a stack is for those who ask for it.
 */
import { factsOf, FaultError, type Fault } from "../domain/errors.ts";
import type { Context } from "./context.ts";
import { exitCodeOf, exitCodeOfStatus } from "./exit-codes.ts";

export interface Problem {
  readonly code: string;
  readonly message: string;
  readonly remedy: string;
  readonly requestId?: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** What the client adds to a fault that it got from the hub; `code` and `status` only where the code is not one of ours. */
export interface Answered {
  readonly requestId?: string;
  readonly remedy?: string;
  readonly code?: string;
  readonly status?: number;
}

/** A mistake in how the command was called. */
export const usageFault = (message: string, command = "drover"): FaultError =>
  new FaultError({
    code: "invalid_request",
    message,
    details: { code: "usage", remedy: `\`${command} --help\` shows how the command is used.` },
  });

export function problemOf(error: unknown): Problem {
  if (!(error instanceof FaultError)) {
    const message = error instanceof Error && error.message !== "" ? error.message : String(error);
    return { code: "internal", message, remedy: "Run the command again with DROVER_DEBUG=1 and report what it shows." };
  }
  const { code, remedy, requestId, details } = answeredOf(error.fault);
  return {
    code: code ?? error.fault.code,
    message: error.fault.message,
    remedy: remedy ?? factsOf(error.fault.code).remedy,
    ...(requestId === undefined ? {} : { requestId }),
    ...(details === undefined ? {} : { details }),
  };
}

export function exitCodeOfError(error: unknown): number {
  if (!(error instanceof FaultError)) return exitCodeOf("internal");
  const { status } = answeredOf(error.fault);
  return status === undefined ? exitCodeOf(error.fault.code) : exitCodeOfStatus(status);
}

export function tellProblem(context: Context, problem: Problem, cause?: unknown): void {
  const { err } = context.streams;
  if (context.json) err.write(`${JSON.stringify(problem)}\n`);
  else
    err.write(
      `drover: ${problem.message}${codeOf(problem)}\n${problem.remedy === "" ? "" : `        ${problem.remedy}\n`}${requestLine(problem)}`,
    );
  if (context.debug && cause instanceof Error) err.write(`${cause.stack ?? ""}\n`);
}

/** The stable name of what went wrong, to look up and to search for; a mistake in usage needs none. */
const codeOf = ({ code }: Problem): string => (code === "usage" ? "" : ` (${code})`);

/** The request's id leads to the hub's log: worth a line only where the fault is the hub's own. */
const requestLine = ({ code, requestId }: Problem): string =>
  code === "internal" && requestId !== undefined ? `        Request ${requestId}\n` : "";

function answeredOf({ details = {} }: Fault): Answered & { details?: Record<string, unknown> } {
  const { requestId, remedy, code, status, ...rest } = details;
  return {
    ...(typeof requestId === "string" ? { requestId } : {}),
    ...(typeof remedy === "string" ? { remedy } : {}),
    ...(typeof code === "string" ? { code } : {}),
    ...(typeof status === "number" ? { status } : {}),
    ...(Object.keys(rest).length === 0 ? {} : { details: rest }),
  };
}
