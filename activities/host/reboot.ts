/**
 * Restarts and resets a machine, and sees that it really began anew.
 *
 * The one idea: the machine runs before and after, so its state alone proves nothing. It must go on running for a while, and where prlctl lost its exit code
 * the guest must have been seen to leave: in a state that passes, or with Parallels Tools that answered before and do not any more.
 */
import { FaultError } from "../../domain/errors.ts";
import type { VmInfo } from "../../parallels/parse/machines.ts";
import type { Act } from "./act.ts";
import { ensureRunning, until } from "./boot.ts";
import { found } from "./prepare.ts";

/** A guest that goes down instead shows it within a second. */
const staysMs = 1_500;
/** Guests that shut down where they were to restart stay stopped; those that restart are stopped for a moment at most. */
const stoppedMs = 5_000;
/** As long as a graceful stop may take, and a boot after it. */
const withinMs = 300_000;

export async function reboot(act: Act, verb: "restart" | "reset", before: VmInfo): Promise<void> {
  const { context, machineId, signal } = act;
  const unknown = await context.prlctl[verb](machineId, { signal }).then(
    () => null,
    (error: unknown) => (error instanceof FaultError && error.fault.code === "outcome_unknown" ? error : Promise.reject(error)),
  );
  const left = await hasLeft(act, before);
  if (unknown !== null && !left) throw unknown;
  await ensureRunning(context, machineId, signal);
}

/** Waits until the machine keeps its state; answers whether the guest was seen to be gone meanwhile. */
async function hasLeft({ context, machineId, signal }: Act, before: VmInfo): Promise<boolean> {
  let left = false;
  let kept = { state: "", sinceMs: 0 };
  await until(withinMs, signal, async () => {
    const { state, tools } = await found(context, machineId, signal);
    if (kept.state !== state) kept = { state, sinceMs: performance.now() };
    left ||= state !== "running" || (before.tools.state === "installed" && tools.state !== "installed");
    const keptMs = performance.now() - kept.sinceMs;
    return (state === "running" && keptMs > staysMs) || (state === "stopped" && keptMs > stoppedMs) ? true : null;
  });
  context.changed();
  return left;
}
