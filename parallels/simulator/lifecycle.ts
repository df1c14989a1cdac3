/**
 * Start, stop and their like: which verb works in which state, what it says, and what the machine becomes.
 *
 * The one idea: the decision and the write happen in one transaction; only then does the command wait, so a killed command has still
 * begun what it began.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { parseArguments } from "./arguments.ts";
import { licenceText, machineNamed, notStarted, say, type Command } from "./command.ts";
import { concerns } from "./control.ts";
import { failure } from "./failure.ts";
import { isMac, passingTo, stateOf, uptimeOf, type Machine, type State } from "./machine.ts";

const isActive = (state: State) => state !== "stopped" && state !== "suspended" && state !== "invalid";
const inState = (machine: Machine, state: State) =>
  `Unable to complete the operation. This operation cannot be completed because the virtual machine "${machine.name} is in the "${state}" state.`;

/** Decides and writes under the lock; answers the machine as it was and is. */
function change(command: Command, decide: (machine: Machine, state: State, nowMs: number) => Machine): { before: State; after: Machine } {
  const { registry } = command;
  return registry.alone(() => {
    const machine = machineNamed(
      command,
      command.argv.find((word) => !word.startsWith("-")),
    );
    const nowMs = Date.now();
    const before = stateOf(machine, nowMs);
    const after = decide(machine, before, nowMs);
    registry.put(after);
    return { before, after };
  });
}

const until = async (machine: Machine) => void (await sleep(Math.max(0, (machine.passing?.untilMs ?? 0) - Date.now())));

export function start(command: Command): void {
  machineNamed(command, parseArguments(command.argv, { wait: "flag" }).words[0]);
  say("Starting the VM...\n");
  change(command, (machine, state, nowMs) => {
    const failed = (why: string) => failure(`Failed to start the VM: ${why}`);
    if (command.control.licence !== "valid") throw failed(licenceText);
    if (state === "invalid") throw failed("Unable to start the virtual machine. The virtual machine cannot be started.");
    if (state === "suspended" && command.control.startOnSuspended === "resume") return awake(command, machine, nowMs, { resumed: true });
    if (state === "suspended") throw failed(inState(machine, state));
    if (state !== "stopped") throw failed(`The virtual machine "${machine.name}" is already started.`);
    return awake(command, machine, nowMs, { resumed: false });
  });
  say("The VM has been successfully started.\n");
}

/** The machine on its way to running; a macOS machine beyond the limit is stopped again at once, and the command says nothing of it. */
function awake(command: Command, machine: Machine, nowMs: number, { resumed }: { resumed: boolean }): Machine {
  const { times, macosLimit } = command.control;
  const others = command.registry.all().filter((other) => other.id !== machine.id);
  const macsRunning = others.filter((other) => isMac(other) && isActive(stateOf(other, nowMs))).length;
  if (isMac(machine) && macsRunning >= macosLimit)
    return passingTo(machine, "stopped", { state: "stopping", durationMs: times.stopMs, nowMs });
  const durationMs = resumed ? times.resumeMs : times.startMs;
  const running = passingTo(machine, "running", { state: resumed ? "resuming" : "starting", durationMs, nowMs });
  return { ...running, guest: { sinceMs: nowMs + durationMs, resumed }, address: machine.address ?? freeAddress(others) };
}

function freeAddress(others: readonly Machine[]): string {
  const taken = new Set(others.map((other) => other.address));
  for (let number = 0; ; number += 1) {
    // .1 and .2 are the network's own; after one network of leases come the next.
    const address = `10.211.${55 + Math.floor(number / 250)}.${3 + (number % 250)}`;
    if (!taken.has(address)) return address;
  }
}

const asleep = (machine: Machine): Machine => ({ ...machine, guest: null });

export async function stop(command: Command): Promise<number> {
  const parsed = parseArguments(command.argv, { kill: "flag", acpi: "flag", noforce: "flag", fast: "flag", "drop-state": "flag" });
  machineNamed(command, parsed.words[0]);
  say("Stopping the VM...\n");
  const kill = parsed.has("kill");
  const deaf = (machine: Machine) => !kill && concerns(command.control.ignoresStop, machine);
  const { before, after } = change(command, (machine, state, nowMs) => {
    if (state === "stopped") return machine;
    const failed = (why: string) => failure(`Failed to stop the VM: ${why}`);
    if (state === "suspended" && parsed.has("drop-state")) return asleep({ ...machine, settled: "stopped", passing: null });
    if (state === "suspended" || state === "invalid" || (state === "paused" && !kill)) throw failed(inState(machine, state));
    if (deaf(machine)) return machine;
    const stopping = passingTo(machine, "stopped", { state: "stopping", durationMs: kill ? 0 : command.control.times.stopMs, nowMs });
    return asleep(stopping);
  });
  if (before === "stopped") return alreadyStopped(command, after);
  if (after.settled === "running" && deaf(after)) {
    await sleep(command.control.gracefulStopLimitMs);
    throw failure("Failed to stop the VM: The virtual machine did not respond to the request to shut down.");
  }
  await until(after);
  say(kill ? "The VM has been forcibly stopped\n" : "The VM has been successfully stopped.\n");
  return 0;
}

/** The ancestor of prlctl prints the error and exits with 0. */
function alreadyStopped(command: Command, machine: Machine): number {
  process.stderr.write(`Failed to stop the VM: ${notStarted(machine)}\n`);
  return command.control.stopWhenStoppedExit;
}

export function restart(command: Command): void {
  machineNamed(command, command.argv[0]);
  say("Restarting the VM...\n");
  change(command, (machine, state, nowMs) => {
    if (state !== "running") throw failure(`Failed to restart the VM: ${notStarted(machine)}`);
    return rebooted(command, machine, nowMs);
  });
  say("The VM has been successfully restarted.\n");
}

export function reset(command: Command): void {
  machineNamed(command, command.argv[0]);
  say("Resetting the VM...\n");
  change(command, (machine, state, nowMs) => {
    if (state !== "running" && state !== "paused") throw failure(`Failed to reset the VM: ${notStarted(machine)}`);
    return rebooted(command, machine, nowMs);
  });
  say("The VM has been successfully reset.\n");
}

const rebooted = (command: Command, machine: Machine, nowMs: number): Machine => ({
  ...machine,
  settled: "running",
  passing: null,
  uptimeSeconds: uptimeOf(machine, nowMs),
  guest: { sinceMs: nowMs + command.control.times.startMs, resumed: false },
});

export async function suspend(command: Command): Promise<void> {
  machineNamed(command, command.argv[0]);
  say("Suspending the VM...\n");
  const { after } = change(command, (machine, state, nowMs) => {
    if (state !== "running" && state !== "paused") throw failure(`Failed to suspend the VM: ${notStarted(machine)}`);
    return asleep(passingTo(machine, "suspended", { state: "suspending", durationMs: command.control.times.suspendMs, nowMs }));
  });
  await until(after);
  say("The VM has been successfully suspended.\n");
}

export function resume(command: Command): void {
  machineNamed(command, command.argv[0]);
  say("Resuming the VM...\n");
  change(command, (machine, state, nowMs) => {
    if (command.control.licence !== "valid") throw failure(`Failed to resume the VM: ${licenceText}`);
    if (state === "paused") return { ...machine, settled: "running", passing: null };
    if (state !== "suspended") throw failure(`Failed to resume the VM: ${inState(machine, state)}`);
    return awake(command, machine, nowMs, { resumed: true });
  });
  say("The VM has been successfully resumed.\n");
}

export function pause(command: Command): void {
  machineNamed(command, command.argv[0]);
  say("Pause the VM...\n");
  change(command, (machine, state) => {
    if (state !== "running") throw failure(`Failed to pause the VM: ${notStarted(machine)}`);
    return { ...machine, settled: "paused", passing: null };
  });
  say("The VM has been successfully paused.\n");
}

export function status(command: Command): void {
  const handle = command.argv[0] ?? "";
  const machine = command.registry.find(handle);
  say(machine ? `VM ${handle} exist ${stateOf(machine, Date.now())}\n` : `VM ${handle} deleted\n`);
}
