/**
 * What every simulated command works with, and the rules that hold for all of them: faults first, then the service, then the machine.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { concerns, type Control, type Fault } from "./control.ts";
import { failure } from "./failure.ts";
import { pathsIn, type HostFacts } from "./home.ts";
import type { Machine } from "./machine.ts";
import type { Registry } from "./registry.ts";

export interface Command {
  readonly home: string;
  readonly host: HostFacts;
  readonly control: Control;
  readonly registry: Registry;
  /** The words after the verb. */
  readonly argv: readonly string[];
}

/** One verb; what it returns is the exit code, 0 unless it says otherwise. */
export type Verb = (command: Command) => Promise<number | void> | number | void;

export const say = (text: string): void => void process.stdout.write(text);

export const unknownMachine =
  "Failed to get VM config: The virtual machine could not be found. The virtual machine is not registered in the virtual machine directory on your Mac. Contact the Parallels support team for assistance.";

export function machineNamed(command: Command, handle: string | undefined): Machine {
  const machine = handle === undefined ? null : command.registry.find(handle);
  if (!machine) throw failure(unknownMachine);
  return machine;
}

export function requireNoPassword(command: Command, action: string, failed: string): void {
  if (command.control.requirePassword.includes(action))
    throw failure(`${failed}: To perform this operation, you must enter the host OS administrator's credentials.`);
}

export const licenceText =
  "This product was activated for a limited period of time that has now expired. Purchase a new activation key to continue using Parallels Desktop.";
export const busy = (why: "currently running" | "being cloned") =>
  `Unable to perform the action because the virtual machine is busy. The virtual machine is ${why}. Please try again later.`;
export const notStarted = (machine: Machine) => `Unable to perform the operation because "${machine.name}" is not started.`;

/** The first fault of the control file that means this command and is not used up. */
export function faultFor(command: Command, verb: string): Fault | null {
  if (command.control.faults.length === 0) return null;
  const machine = command.argv.map((word) => command.registry.find(word)).find((found) => found !== null);
  const meant = (fault: Fault) =>
    (fault.verb === verb || fault.verb === "*") && (fault.machine === undefined || (!!machine && concerns([fault.machine], machine)));
  return command.control.faults.find((fault) => meant(fault) && command.registry.useFault(fault)) ?? null;
}

/** Never ends, and takes no notice of SIGTERM: what a command of Parallels does at its worst. A file named after the process tells that it hangs. */
export function hang({ home }: Command): Promise<never> {
  process.on("SIGTERM", () => {});
  mkdirSync(pathsIn(home).hanging, { recursive: true });
  writeFileSync(join(pathsIn(home).hanging, String(process.pid)), "");
  // A timer keeps the process alive; a pending promise alone would not.
  return new Promise(() => setInterval(() => {}, 60_000));
}
