/**
 * One action on one machine, under the machine's lock.
 *
 * The one idea: what can be repeated is an ensure; what cannot is journalled before it begins, and an attempt that finds it begun but not ended
 * answers `outcome_unknown` instead of doing it twice.
 */
import { FaultError, unwrap } from "../../domain/errors.ts";
import { mayAct, type MachineState } from "../../domain/machines/rules.ts";
import { MachineAction } from "../../domain/machines/schema.ts";
import { isUnrepeatable } from "../../domain/operations/rules.ts";
import type { Effect, HostActionActivities } from "../../workflows/machines/operate.ts";
import { ensureRunning, ensureStopped, untilState } from "./boot.ts";
import { effectOf, type Act } from "./act.ts";
import { capture } from "./capture.ts";
import { cloneMachine } from "./clone.ts";
import type { HostContext } from "./context.ts";
import { execute } from "./execute.ts";
import { found } from "./prepare.ts";
import { openReporter } from "./reporter.ts";
import { snapshotAction } from "./snapshots.ts";

/** Suspending writes the guest's memory to disk: minutes on a large machine. */
const settleWithinMs = 600_000;

export function actionActivities(context: HostContext): HostActionActivities {
  const { attempts, machines, link } = context;
  return {
    actOnMachine: ({ operationId, step, machineId, action, cloneId }) =>
      attempts.run(`act/${operationId}`, async ({ signal }) => {
        const wanted = parseAction(action);
        const { fence, sealed } = await link.grants({ operationId, begin: true, sealed: wanted.verb === "execute" });
        const act: Act = {
          context,
          operationId,
          step,
          machineId,
          cloneId,
          reporter: openReporter(link, operationId, fence),
          sealed,
          signal,
        };
        const once = isUnrepeatable(wanted.verb) ? () => atMostOnce(act, () => perform(act, wanted)) : () => perform(act, wanted);
        // Guests answer several readers at once; only changes go one by one.
        return wanted.verb === "execute" || wanted.verb === "capture" ? once() : machines.run(machineId, signal, once);
      }),
  };
}

/** The script of an `execute` is not in the action: it comes sealed. */
function parseAction(action: { readonly verb: string }): MachineAction {
  const parsed = MachineAction.safeParse(action.verb === "execute" ? { ...action, script: "sealed" } : action);
  if (parsed.success) return parsed.data;
  throw new FaultError({
    code: "invalid_request",
    message: `This host does not know how to ${action.verb} like that: it may be older than the hub.`,
  });
}

async function atMostOnce({ context, operationId }: Act, perform: () => Promise<Effect>): Promise<Effect> {
  const before = await context.ledger.act(operationId);
  if (before?.state === "ended") return before.effect as Effect;
  if (before)
    throw new FaultError({ code: "outcome_unknown", message: "The host was interrupted while it did this; it may have taken effect." });
  await context.ledger.beginAct(operationId);
  const effect = await perform();
  await context.ledger.endAct(operationId, effect);
  return effect;
}

async function perform(act: Act, action: MachineAction): Promise<Effect> {
  const { context, machineId, signal } = act;
  const { prlctl } = context;
  const before = await found(context, machineId, signal);
  unwrap(mayAct(action.verb, { name: before.name, observed: before.state }));
  const to = async (command: () => Promise<unknown>, state: MachineState): Promise<Effect> => {
    if (before.state !== state) await command();
    await untilState(context, machineId, [state], settleWithinMs, signal);
    return effectOf(act);
  };
  switch (action.verb) {
    case "start":
    case "resume":
      await ensureRunning(context, machineId, signal);
      return effectOf(act);
    case "stop":
      await ensureStopped(context, machineId, action.mode === "graceful" ? action.graceSeconds * 1000 : 0, signal);
      return effectOf(act);
    case "suspend":
      return to(() => prlctl.suspend(machineId, { signal }), "suspended");
    case "pause":
      return to(() => prlctl.pause(machineId, { signal }), "paused");
    case "restart":
    case "reset":
      await (action.verb === "restart" ? prlctl.restart(machineId, { signal }) : prlctl.reset(machineId, { signal }));
      await untilState(context, machineId, ["running"], settleWithinMs, signal);
      return effectOf(act);
    case "configure": {
      const { vcpus, memoryBytes, description, options } = action;
      const sizes = {
        ...(vcpus && { cpus: vcpus }),
        ...(memoryBytes && { memoryBytes }),
        ...(description !== undefined && { description }),
      };
      await prlctl.set(machineId, { ...sizes, options }, { signal });
      return effectOf(act);
    }
    case "rename":
      if (before.name !== action.name) await prlctl.set(machineId, { name: action.name }, { signal });
      return effectOf(act);
    case "clone":
      return cloneMachine(act, action);
    case "execute":
      return execute(act, action);
    case "capture":
      return capture(act);
    default:
      return snapshotAction(act, action);
  }
}
