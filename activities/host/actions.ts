/**
 * One action on one machine, under the machine's lock.
 *
 * The one idea: what can be repeated is an ensure; what cannot is journalled before it begins, and an attempt that finds it begun but not ended
 * answers `outcome_unknown` instead of doing it twice.
 */
import { FaultError, unwrap, type Code } from "../../domain/errors.ts";
import { mayAct } from "../../domain/machines/rules.ts";
import { MachineAction } from "../../domain/machines/schema.ts";
import { isUnrepeatable } from "../../domain/operations/rules.ts";
import type { Effect, HostActionActivities } from "../../workflows/machines/operate.ts";
import { effectOf, type Act } from "./act.ts";
import { capture } from "./capture.ts";
import { cloneMachine } from "./clone.ts";
import type { HostContext } from "./context.ts";
import { execute } from "./execute.ts";
import { found } from "./prepare.ts";
import { power } from "./power.ts";
import { openReporter } from "./reporter.ts";
import { dropMade, snapshotAction } from "./snapshots.ts";
import { ensured } from "./steps.ts";
import { upload } from "./upload.ts";

export function actionActivities(context: HostContext): HostActionActivities {
  const { attempts, machines, link } = context;
  return {
    dropSnapshot: ({ operationId, machineId, name }) =>
      attempts.run(operationId, "drop", ({ signal }) =>
        machines.run(machineId, signal, () => ensured(() => dropMade(context, { operationId, machineId, name }, signal))),
      ),
    actOnMachine: ({ operationId, step, machineId, action, cloneId }) =>
      attempts.run(operationId, "act", async ({ signal }) => {
        const wanted = parseAction(action);
        const { fence, sealed } = await link.grants({ operationId, begin: true, sealed: wanted.verb === "execute" }, signal);
        const act: Act = {
          context,
          operationId,
          step,
          machineId,
          cloneId,
          reporter: openReporter(link, operationId, fence),
          sealed,
          signal,
          begin: () => context.ledger.beginAct(operationId),
        };
        const once = isUnrepeatable(wanted.verb)
          ? () => atMostOnce(act, () => perform(act, wanted))
          : () => ensured(() => perform(act, wanted));
        try {
          // Guests answer several readers at once; only changes go one by one.
          return await (besideOthers.has(wanted.verb) ? once() : machines.run(machineId, signal, once));
        } finally {
          // A hub that is away takes nothing, and who cancels does not wait for it.
          await Promise.race([act.reporter.told(), aborted(signal)]);
        }
      }),
  };
}

const besideOthers: ReadonlySet<MachineAction["verb"]> = new Set(["execute", "upload", "capture"]);
const aborted = (signal: AbortSignal): Promise<void> =>
  signal.aborted ? Promise.resolve() : new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));

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
  const effect = await perform().catch(async (error: unknown) => {
    if (error instanceof FaultError && refusals.has(error.fault.code)) await context.ledger.forgetAct(operationId);
    throw error;
  });
  await context.ledger.endAct(operationId, effect);
  return effect;
}

/** Said before anything was done, so the act may still be tried; whatever else ends it leaves open what happened. */
const refusals: ReadonlySet<Code> = new Set([
  "argument_refused",
  "fenced",
  "grant_refused",
  "licence_expired",
  "machine_lost",
  "machine_not_found",
  "machine_state",
  "prlctl_busy",
  "prlctl_failed",
  "prlctl_unavailable",
  "tools_unavailable",
]);

async function perform(act: Act, action: MachineAction): Promise<Effect> {
  const { context, machineId, signal } = act;
  const { prlctl } = context;
  const before = await found(context, machineId, signal);
  unwrap(mayAct(action.verb, { name: before.name, observed: before.state }));
  switch (action.verb) {
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
    case "upload":
      return upload(act, action);
    case "capture":
      return capture(act);
    case "snapshot-create":
    case "snapshot-list":
    case "snapshot-revert":
    case "snapshot-delete":
      return snapshotAction(act, action);
    default:
      return power(act, action, before);
  }
}
