/**
 * A registered machine and what time has made of it.
 *
 * The one idea: nothing runs between two commands; a transition is written with the moment when it ends, and every reader computes the
 * state, the address and the tools from the clock. A killed command therefore stops no boot, as with the real service.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { concerns, type Control } from "./control.ts";

export type Settled = "running" | "stopped" | "suspended" | "paused";
export type State = Settled | "invalid" | "starting" | "stopping" | "resuming" | "suspending";

export interface Machine {
  readonly id: string;
  readonly name: string;
  readonly bundlePath: string;
  readonly settled: Settled;
  /** What shows until the transition ends. */
  readonly passing: { readonly state: State; readonly untilMs: number } | null;
  /** Since when the guest runs, and whether it booted or was resumed; kept while paused. */
  readonly guest: { readonly sinceMs: number; readonly resumed: boolean } | null;
  /** The lease, kept after a stop. */
  readonly address: string | null;
  readonly uptimeSeconds: number;
  readonly template: boolean;
  /** A linked clone of a macOS machine: it shows as running, but its guest never boots. */
  readonly neverBoots: boolean;
}

export const isMac = (machine: { bundlePath: string }): boolean => machine.bundlePath.endsWith(".macvm");

export function stateOf(machine: Machine, nowMs: number): State {
  if (!existsSync(join(machine.bundlePath, "config.pvs"))) return "invalid";
  return machine.passing && nowMs < machine.passing.untilMs ? machine.passing.state : machine.settled;
}

/** The address that `list --full` shows: none, link-local for a while, then the lease. */
export function addressOf(machine: Machine, control: Control, nowMs: number): string | null {
  if (stateOf(machine, nowMs) !== "running" || !machine.guest || machine.neverBoots) return null;
  const bootedMs = nowMs - machine.guest.sinceMs;
  if (bootedMs < 0) return null;
  if (concerns(control.addressNever, machine)) return null;
  if (machine.guest.resumed || bootedMs >= control.times.addressMs) return machine.address;
  return control.linkLocalFirst ? "fe80::21c:42ff:fe35:afae" : null;
}

export function toolsOf(machine: Machine, control: Control, nowMs: number): "installed" | "possibly_installed" | "not_installed" {
  if (machine.neverBoots || concerns(control.toolsNeverUp, machine)) return "not_installed";
  if (stateOf(machine, nowMs) !== "running" || !machine.guest) return "possibly_installed";
  const neededMs = machine.guest.resumed ? control.times.resumedToolsMs : control.times.toolsMs;
  return nowMs - machine.guest.sinceMs >= neededMs ? "installed" : "possibly_installed";
}

export function uptimeOf(machine: Machine, nowMs: number): number {
  const running = stateOf(machine, nowMs) === "running" && machine.guest ? Math.max(0, nowMs - machine.guest.sinceMs) : 0;
  return machine.uptimeSeconds + Math.floor(running / 1000);
}

/** The machine with a transition on its way. */
export function passingTo(
  machine: Machine,
  settled: Settled,
  { state, durationMs, nowMs }: { state: State; durationMs: number; nowMs: number },
): Machine {
  return { ...machine, settled, passing: { state, untilMs: nowMs + durationMs }, uptimeSeconds: uptimeOf(machine, nowMs) };
}
