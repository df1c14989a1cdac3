/**
 * What the exit code of `drover` says, in one table.
 *
 * The one idea: a fault's kind decides, so that a new code in the vocabulary has its exit code without anyone thinking of it.
 */
import { factsOf, kinds, type Code, type Kind } from "../domain/errors.ts";

export const exitCodes = {
  done: { code: 0, meaning: "It is done." },
  internal: { code: 1, meaning: "Something unforeseen went wrong in Drover." },
  usage: { code: 2, meaning: "The command, an option or a value is not right." },
  refused: { code: 3, meaning: "Not logged in, the login ended, or you may not do this." },
  notFound: { code: 4, meaning: "What the command names does not exist, or you may not see it." },
  conflict: { code: 5, meaning: "It exists already, is busy, is in another state, or there is no room for it." },
  failed: { code: 6, meaning: "The operation failed, or content is broken." },
  cancelled: { code: 7, meaning: "The operation was cancelled." },
  unreachable: { code: 8, meaning: "The hub, or something that is needed, cannot be reached." },
  timeout: { code: 9, meaning: "The wait ended (time limit, Ctrl-C) before the operation did; it goes on." },
} as const satisfies Record<string, { code: number; meaning: string }>;
export type Ending = keyof typeof exitCodes;

const endings: Readonly<Record<Kind, Ending>> = {
  invalid: "usage",
  unauthenticated: "refused",
  forbidden: "refused",
  not_found: "notFound",
  conflict: "conflict",
  precondition_failed: "conflict",
  limited: "conflict",
  internal: "internal",
  corrupt: "failed",
  unavailable: "unreachable",
  late: "timeout",
};

export const exitCodeOfKind = (kind: Kind): number => exitCodes[endings[kind]].code;
export const exitCodeOf = (code: Code): number => exitCodeOfKind(factsOf(code).kind);

/** For the answer of a hub of another release, whose code is not in our table. */
export function exitCodeOfStatus(status: number): number {
  const known = Object.entries(endings).find(([kind]) =>
    Object.entries(kinds).some(([name, facts]) => name === kind && facts.status === status),
  );
  if (known) return exitCodes[known[1]].code;
  return status >= 500 ? exitCodes.internal.code : exitCodes.usage.code;
}

/** What a script in a guest ended with, as far as a shell can tell it: Windows has codes of 32 bits. */
export const exitCodeOfGuest = (code: number): number =>
  Number.isInteger(code) && code >= 0 && code <= 255 ? code : exitCodes.internal.code;

export function describeExitCodes(): string {
  const rows = Object.values(exitCodes).map(({ code, meaning }) => `  ${String(code).padStart(3)}  ${meaning}`);
  return [
    "Exit codes of drover:",
    "",
    ...rows,
    "",
    "`drover machine exec` ends with the exit code of the command in the guest once it ran there.",
    "",
  ].join("\n");
}
