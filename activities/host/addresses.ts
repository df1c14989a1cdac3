/**
 * Addresses of guests that Parallels Desktop does not tell in full lists, as with most macOS guests.
 *
 * The one idea: a list of leases is asked first, the guest itself last. What a guest said holds while it runs, so an inventory never waits for a guest.
 */
import { isIPv4 } from "node:net";
import { FaultError, type Code } from "../../domain/errors.ts";
import type { Executed } from "../../parallels/exec.ts";
import type { VmInfo } from "../../parallels/parse/machines.ts";
import type { HostContext } from "./context.ts";

/** A guest that takes the session answers at once; one that hangs must not keep the slot. */
const answerWithinMs = 10_000;
/** Why a guest that is still booting does not answer. */
const notYet: readonly Code[] = ["tools_unavailable", "prlctl_busy", "prlctl_timeout", "outcome_unknown", "machine_state"];

/** One command as a probe, in a session slot like any other, so that probes crowd nobody out; null when no session is accepted. */
export async function askGuest(
  { prlctl, sessions }: Pick<HostContext, "prlctl" | "sessions">,
  machineId: string,
  command: readonly string[],
  signal: AbortSignal,
): Promise<Executed | null> {
  try {
    return await sessions.run(signal, () => prlctl.exec(machineId, { command }, { signal, timeoutMs: answerWithinMs }));
  } catch (error) {
    if (error instanceof FaultError && notYet.includes(error.fault.code)) return null;
    throw error;
  }
}

export const isMacGuest = ({ isMacOS, os }: Pick<VmInfo, "isMacOS" | "os">): boolean => isMacOS || os === "macosx";

export async function ipAddressOfMac(
  context: Pick<HostContext, "prlctl" | "sessions">,
  machineId: string,
  signal: AbortSignal,
): Promise<string | null> {
  const answer = await askGuest(context, machineId, ["ipconfig", "getifaddr", "en0"], signal);
  const address = answer?.stdout.trim() ?? "";
  return isIPv4(address) ? address : null;
}

export interface GuestAddresses {
  /** The machines with the addresses that other sources know; guests that have to be asked are, and the next inventory tells. */
  complete(context: HostContext, machines: readonly VmInfo[]): Promise<VmInfo[]>;
}

export function openGuestAddresses(): GuestAddresses {
  const said = new Map<string, string>();
  const asking = new Set<string>();

  async function ask(context: HostContext, machineId: string): Promise<void> {
    if (asking.has(machineId)) return;
    asking.add(machineId);
    // What goes wrong here goes wrong again when somebody waits for the guest, and is told there.
    const address = await ipAddressOfMac(context, machineId, new AbortController().signal).catch(() => null);
    asking.delete(machineId);
    if (address === null) return;
    said.set(machineId, address);
    context.changed();
  }

  return {
    complete: async (context, machines) => {
      const silent = machines.filter(({ state, addresses }) => state === "running" && addresses.length === 0);
      const running = new Set(silent.map(({ id }) => id));
      for (const id of said.keys()) if (!running.has(id)) said.delete(id);
      if (silent.length === 0) return [...machines];
      const leases = new Map((await context.prlctl.list()).map(({ id, address }) => [id, address]));
      return machines.map((machine) => {
        if (!running.has(machine.id)) return machine;
        const address = leases.get(machine.id) ?? said.get(machine.id);
        if (address === undefined && isMacGuest(machine)) void ask(context, machine.id);
        return address === undefined ? machine : { ...machine, addresses: [address] };
      });
    },
  };
}
