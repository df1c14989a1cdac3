/**
 * What prlctl's messages mean: the only place that reads them.
 *
 * The one idea: the exit code is 255 for nearly every failure, so the cause is told by the text alone; a text that nobody knows is
 * passed on whole as `prlctl_failed`, for the operator to read.
 */
import { FaultError, type Code } from "../domain/errors.ts";
import type { Ran } from "./run.ts";

/** The first match counts, so the narrower texts stand before the wider ones. */
const meanings: readonly (readonly [text: RegExp, code: Code])[] = [
  [/^PrlJob_Get(RetCode|Result):/m, "outcome_unknown"],
  [/virtual machine could not be found|is not registered in the virtual machine directory/i, "machine_not_found"],
  [/snapshot.*could not be found|unable to find the snapshot/i, "snapshot_not_found"],
  [/activated for a limited period of time that has now expired|no valid license|license .*expired/i, "licence_expired"],
  [/maximum supported number of active virtual machines/i, "macos_limit"],
  [/maximum number of simultaneous logon attempts/i, "prlctl_busy"],
  [/unable to open new session in this virtual machine/i, "tools_unavailable"],
  [/login failed:|unable to connect to parallels service/i, "prlctl_unavailable"],
  [/data synchronization is currently in progress|virtual machine is busy\. The virtual machine is being cloned/i, "prlctl_busy"],
  [/virtual machine is busy/i, "machine_state"],
  [/is in the intermediate state/i, "machine_state"],
  [/already started|is not started|is not stopped|is in the ".*" state/i, "machine_state"],
  [/is already registered|already in use|already exists/i, "machine_exists"],
];

/** A fault of a command that ended by itself. */
export function faultOf(name: string, subject: string | null, { exitCode, stdout, stderr }: Ran): FaultError {
  const said = lastWords(stderr) || lastWords(stdout) || "nothing";
  const code = meanings.find(([text]) => text.test(stderr))?.[1] ?? "prlctl_failed";
  const what = subject === null ? `prlctl ${name}` : `prlctl ${name} of ${subject}`;
  return new FaultError({
    code,
    message: `${what} failed: ${said}`,
    ...(subject !== null && { subject }),
    details: { exitCode, stderr: stderr.slice(0, mostDetail) },
  });
}

/** Enough for any message of prlctl; the rest would be a guest's own output. */
const mostDetail = 4096;
const lastWords = (text: string) =>
  text
    .replace(/\p{Cc}+/gu, " ")
    .trim()
    .slice(0, mostDetail);

/** Some versions print an error and exit with 0, as for the stop of a machine that is stopped. */
export const hasFailed = ({ exitCode, stderr }: Ran): boolean => exitCode !== 0 || /^(Failed to|Unable to) /m.test(stderr);

/**
 * The exit code of a guest's command, or why prlctl could not run it.
 * Guest and prlctl share stderr and the code 255, so only prlctl's whole sentences count: alone for a session that never was, last for a lost code.
 */
export function outcomeOf(subject: string, ran: Ran): { exitCode: number } | FaultError {
  const { exitCode } = ran;
  if (exitCode === null) return faultOf("exec", subject, { ...ran, stderr: "PrlJob_GetRetCode: prlctl was killed." });
  if (exitCode !== 255 && exitCode !== 253) return { exitCode };
  const lines = ran.stderr.trim().split("\n");
  const last = lines.at(-1) ?? "";
  if (/^PrlJob_Get(RetCode|Result):/.test(last)) return faultOf("exec", subject, { ...ran, stderr: last });
  const refused = /^(PrlVmGuest_RunProgram: )?(Unable to (open new session|perform the operation)|Failed to get VM config:|Login failed:)/;
  return ran.stdout === "" && lines.length === 1 && refused.test(last) ? faultOf("exec", subject, ran) : { exitCode };
}
