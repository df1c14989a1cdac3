/**
 * Brings a machine up and proves it: started, has an address, answers; and brings it down.
 *
 * The one idea: `prlctl start` returns before the machine runs, so only what is observed afterwards counts, each wait with a limit of its own.
 */
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Probe } from "../../domain/catalog/schema.ts";
import { FaultError, type Code } from "../../domain/errors.ts";
import { holdsProcessor, type MachineState } from "../../domain/machines/rules.ts";
import { askGuest, ipAddressOfMac, isMacGuest } from "./addresses.ts";
import type { HostContext } from "./context.ts";
import { found } from "./prepare.ts";

/** How often a booting machine is looked at: `prlctl list` takes a tenth of a second. */
const lookEveryMs = 250;
/** Parallels shows `running` within seconds; two minutes outlast a Mac under load. */
const runningWithinMs = 120_000;
/** Guests end what they do; after this long an asked-for stop is not coming (Parallels itself gives up after 120 s). */
const stateWithinMs = 150_000;

export interface BootLimits {
  readonly runningWithinMs: number;
  readonly addressWithinMs: number;
  readonly answersWithinMs: number;
}
/**
 * `withinMs` is the operator's word on how long a guest may take: a first boot needs minutes until DHCP answers, and a Windows guest that installs
 * updates as long again until Parallels Tools are up.
 */
export const bootLimits = (withinMs: number): BootLimits => ({ runningWithinMs, addressWithinMs: withinMs, answersWithinMs: withinMs });

export async function ensureRunning(context: HostContext, machineId: string, signal: AbortSignal): Promise<void> {
  await found(context, machineId, signal);
  const state = await leaving(context, machineId, context.limits.runningWithinMs, signal);
  if (state === "suspended" || state === "paused") await context.prlctl.resume(machineId, { signal });
  else if (state === "stopped") await context.prlctl.start(machineId, { signal });
  context.changed();
  await untilState(context, machineId, ["running"], context.limits.runningWithinMs, signal);
}

/** On the way down: what the machine becomes decides what has to be done. */
const goingDown: ReadonlySet<MachineState> = new Set(["stopping", "suspending", "pausing"]);

/** The machine's state once it is on no way down any more, or what it still is when that takes too long. */
async function leaving(context: HostContext, machineId: string, withinMs: number, signal: AbortSignal): Promise<MachineState> {
  const left = await until(withinMs, signal, async () => {
    const state = await stateOf(context, machineId, signal);
    return goingDown.has(state) ? null : state;
  });
  return left ?? stateOf(context, machineId, signal);
}

/** Waits until the machine is in one of the states. A machine that falls back to stopped instead of running hit Apple's limit. */
export async function untilState(
  context: HostContext,
  machineId: string,
  wanted: readonly MachineState[],
  withinMs: number,
  signal: AbortSignal,
): Promise<MachineState> {
  let seen: MachineState = "unknown";
  let woke = false;
  const state = await until(withinMs, signal, async () => {
    seen = await stateOf(context, machineId, signal);
    woke ||= holdsProcessor(seen);
    const fellBack = wanted.includes("running") && woke && seen === "stopped";
    return wanted.includes(seen) || fellBack ? seen : null;
  });
  context.changed();
  if (state !== null && wanted.includes(state)) return state;
  const limited = state === "stopped" ? ("macos_limit" as const) : ("prlctl_timeout" as const);
  const message =
    limited === "macos_limit"
      ? "The machine started and stopped again by itself."
      : `The machine is still ${seen} after ${withinMs / 1000} s.`;
  throw new FaultError({ code: limited, message, subject: machineId });
}

async function stateOf({ prlctl }: HostContext, machineId: string, signal: AbortSignal): Promise<MachineState> {
  const machine = (await prlctl.list({ signal })).find(({ id }) => id === machineId);
  if (machine) return machine.state;
  throw new FaultError({ code: "machine_lost", message: `The machine ${machineId} is not on this host.`, subject: machineId });
}

export async function awaitAddress(context: HostContext, machineId: string, signal: AbortSignal): Promise<string[]> {
  const isMac = isMacGuest(await found(context, machineId, signal));
  const address = await until(context.limits.addressWithinMs, signal, async () => {
    const machine = (await context.prlctl.list({ signal })).find(({ id }) => id === machineId);
    return machine?.address ?? (isMac ? ipAddressOfMac(context, machineId, signal) : null);
  });
  if (address === null) throw late("address_missing", machineId, `has no address after ${context.limits.addressWithinMs / 1000} s`);
  context.changed();
  return [address];
}

export async function awaitAnswer(
  context: HostContext,
  machineId: string,
  probe: Probe,
  addresses: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  if (probe.kind === "none") return;
  const [address = ""] = addresses;
  const answers = probe.kind === "tcp" ? () => connects(address, probe.port, signal) : () => acceptsSession(context, machineId, signal);
  const met = await until(context.limits.answersWithinMs, signal, async () => ((await answers()) ? true : null));
  const what = probe.kind === "tcp" ? `does not listen on port ${probe.port}` : "has no Parallels Tools that accept a session";
  if (met === null) throw late("tools_unavailable", machineId, `${what} after ${context.limits.answersWithinMs / 1000} s`);
}

/** Whatever the guest makes of the command, that it ran shows that a session was accepted. */
const acceptsSession = async (context: HostContext, machineId: string, signal: AbortSignal): Promise<boolean> =>
  (await askGuest(context, machineId, ["echo", "ready"], signal)) !== null;

function connects(host: string, port: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 2000, signal });
    const end = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket
      .once("connect", () => end(true))
      .once("error", () => end(false))
      .once("timeout", () => end(false));
  });
}

/** Down, whatever it was: asked first, then killed when the grace is over. Absence is success. */
export async function ensureStopped(context: HostContext, machineId: string, graceMs: number, signal: AbortSignal): Promise<void> {
  const { prlctl } = context;
  const machine = await prlctl.find(machineId, { signal });
  if (!machine || machine.state === "stopped" || machine.state === "invalid") return;
  if (graceMs === 0 || !(await stopsByItself(context, machineId, graceMs, signal))) {
    const state = await stateOf(context, machineId, signal);
    if (state === "stopped") return;
    await prlctl.stop(machineId, { mode: state === "suspended" ? "drop-state" : "kill" }, { signal });
  }
  await untilState(context, machineId, ["stopped"], stateWithinMs, signal);
}

/** A guest that is halted can hear nothing: it goes on first. A request that prlctl gives up may still be heard, so the whole grace is waited for. */
async function stopsByItself(context: HostContext, machineId: string, graceMs: number, signal: AbortSignal): Promise<boolean> {
  const { prlctl } = context;
  const within = AbortSignal.any([signal, AbortSignal.timeout(graceMs)]);
  try {
    const state = await leaving(context, machineId, graceMs, within);
    if (state === "suspended") return false;
    if (state === "paused") await prlctl.resume(machineId, { signal: within });
    if (state !== "stopped") await untilState(context, machineId, ["running"], graceMs, within);
    await prlctl.stop(machineId, { mode: "graceful" }, { signal: within }).catch(() => undefined);
    await untilState(context, machineId, ["stopped"], graceMs, within);
    return true;
  } catch (error) {
    if (signal.aborted) throw error;
    return false;
  }
}

/** Looks again and again until there is something to see; null when that takes too long. */
export async function until<T>(withinMs: number, signal: AbortSignal, look: () => Promise<T | null>): Promise<T | null> {
  const end = performance.now() + withinMs;
  for (;;) {
    const seen = await look();
    if (seen !== null) return seen;
    if (performance.now() > end) return null;
    await delay(lookEveryMs, undefined, { signal });
  }
}

const late = (code: Code, machineId: string, what: string) =>
  new FaultError({ code, message: `The machine ${machineId} ${what}.`, subject: machineId });
