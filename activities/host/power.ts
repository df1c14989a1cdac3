/**
 * Brings a machine into the state that was asked for.
 *
 * The one idea: a state that is reached, or on its way, is not asked for again. `restart` and `reset` reach the state in which they began, so only
 * the journal tells whether they happened.
 */
import { FaultError } from "../../domain/errors.ts";
import type { MachineState } from "../../domain/machines/rules.ts";
import type { MachineAction } from "../../domain/machines/schema.ts";
import type { VmInfo } from "../../parallels/parse/machines.ts";
import type { Effect } from "../../workflows/machines/operate.ts";
import { effectOf, type Act } from "./act.ts";
import { ensureRunning, ensureStopped, untilState } from "./boot.ts";

/** Suspending writes the guest's memory to disk: minutes on a large machine. */
const settleWithinMs = 600_000;

type PowerAction = Extract<MachineAction, { verb: "start" | "stop" | "restart" | "suspend" | "resume" | "pause" | "reset" }>;

export async function power(act: Act, action: PowerAction, before: VmInfo): Promise<Effect> {
  const { context, machineId, signal } = act;
  const { prlctl } = context;
  const reached = (state: MachineState) => untilState(context, machineId, [state], settleWithinMs, signal);
  switch (action.verb) {
    case "start":
    case "resume":
      // What was running before is not stopped should this come to nothing.
      if (before.state === "stopped") await act.begin();
      await ensureRunning(context, machineId, signal);
      break;
    case "stop":
      if (action.mode === "graceful" && before.state === "suspended") throw keepsMemory(before.name);
      await ensureStopped(context, machineId, action.mode === "graceful" ? action.graceSeconds * 1000 : 0, signal);
      break;
    case "suspend":
      if (!isOneOf(before.state, "suspended", "suspending")) await prlctl.suspend(machineId, { signal });
      await reached("suspended");
      break;
    case "pause":
      if (!isOneOf(before.state, "paused", "pausing")) await prlctl.pause(machineId, { signal });
      await reached("paused");
      break;
    case "restart":
    case "reset":
      await act.begin();
      await prlctl[action.verb](machineId, { signal });
      await reached("running");
  }
  return effectOf(act);
}

const isOneOf = (state: MachineState, ...states: readonly MachineState[]): boolean => states.includes(state);

/** What the guest had in memory is somebody's work: only a word of its own throws it away. */
const keepsMemory = (name: string) =>
  new FaultError({
    code: "machine_state",
    message: `${name} is suspended and has nothing to be asked: resume it, or stop it with its state dropped.`,
    subject: name,
  });
