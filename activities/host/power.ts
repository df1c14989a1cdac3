/**
 * Brings a machine into the state that was asked for.
 *
 * The one idea: a state that is reached, or on its way, is not asked for again. `restart` and `reset` reach the state in which they began, so only
 * the journal tells whether they happened.
 */
import { unwrap } from "../../domain/errors.ts";
import { mayStop, type MachineState } from "../../domain/machines/rules.ts";
import type { MachineAction } from "../../domain/machines/schema.ts";
import type { VmInfo } from "../../parallels/parse/machines.ts";
import type { Effect } from "../../workflows/machines/operate.ts";
import { effectOf, type Act } from "./act.ts";
import { ensureRunning, ensureStopped, untilState } from "./boot.ts";
import { reboot } from "./reboot.ts";

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
      unwrap(mayStop({ name: before.name, observed: before.state }, action.mode));
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
      await reboot(act, action.verb, before);
  }
  return effectOf(act);
}

const isOneOf = (state: MachineState, ...states: readonly MachineState[]): boolean => states.includes(state);
