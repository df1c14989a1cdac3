/**
 * Copies a file or folder of this host into a guest.
 *
 * The one idea: what may be copied lies below the host's roots, links followed; copying again ends in the same files, so it may be tried again.
 */
import type { MachineAction } from "../../domain/machines/schema.ts";
import type { Effect } from "../../workflows/machines/operate.ts";
import { effectOf, type Act } from "./act.ts";
import { insideRoots } from "./context.ts";

export async function upload(act: Act, { path, guestPath }: Extract<MachineAction, { verb: "upload" }>): Promise<Effect> {
  const { context, machineId, step, reporter, signal } = act;
  const from = await insideRoots(path, context.roots);
  const copy = () => context.prlctl.copyIn(machineId, { from, to: guestPath }, { signal });
  await context.sessions.run(signal, copy, () => reporter.waits(step, "a guest session"));
  return effectOf(act);
}
