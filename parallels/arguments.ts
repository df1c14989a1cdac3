/**
 * What may stand on prlctl's command line.
 *
 * The one idea: prlctl reads a value that starts with a dash as an option, so such a value is refused before it gets there.
 */
import { FaultError } from "../domain/errors.ts";

/** Options of the wire's `set`, in their order: a flag alone, or with a value. */
export interface PrlctlOption {
  readonly flag: string;
  readonly value?: string | undefined;
}

function refused(what: string, why: string): FaultError {
  return new FaultError({ code: "argument_refused", message: `The ${what} cannot be given to prlctl: ${why}.` });
}

export function valueOf(what: string, value: string): string {
  if (value.startsWith("-")) throw refused(what, "it starts with a dash");
  if (value.includes("\0")) throw refused(what, "it contains a NUL character");
  return value;
}

/** A machine's id or its whole name. */
export function handleOf(machine: string): string {
  if (machine.trim() === "") throw refused("name of the machine", "it is empty");
  return valueOf("name of the machine", machine);
}

const uuid = /^\{?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\}?$/i;

export function uuidOf(what: string, id: string): string {
  const bare = uuid.exec(id)?.[1];
  if (bare === undefined) throw refused(what, "it is no UUID");
  return bare.toLowerCase();
}

export function wordsOf(options: readonly PrlctlOption[]): string[] {
  return options.flatMap(({ flag, value }) => {
    if (!/^[a-z0-9][a-z0-9-]*$/.test(flag))
      throw refused(`option ${JSON.stringify(flag)}`, "its name has other characters than small letters, digits and dashes");
    return value === undefined ? [`--${flag}`] : [`--${flag}`, valueOf(`value of --${flag}`, value)];
  });
}

/** A MAC address as prlctl takes it, whatever separators it came with. */
export function macAddressOf(given: string): string {
  if (given === "auto") return given;
  const digits = given.replace(/[:-]/g, "").toUpperCase();
  if (!/^[0-9A-F]{12}$/.test(digits)) throw refused("MAC address", "it has not twelve hexadecimal digits");
  return digits;
}

/** Parallels counts memory in MiB. */
export function megabytesOf(memoryBytes: number): string {
  const megabytes = memoryBytes / 1024 ** 2;
  if (!Number.isInteger(megabytes) || megabytes < 1) throw refused("memory size", `${memoryBytes} bytes are no whole number of MiB`);
  return String(megabytes);
}
