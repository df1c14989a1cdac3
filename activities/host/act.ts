/** One action on one machine as its handlers see it, and what they answer with. */
import type { Effect } from "../../workflows/machines/operate.ts";
import type { HostContext } from "./context.ts";
import { found } from "./prepare.ts";
import type { Reporter } from "./reporter.ts";

export interface Act {
  readonly context: HostContext;
  readonly operationId: string;
  readonly step: string;
  readonly machineId: string;
  readonly cloneId: string | undefined;
  readonly reporter: Reporter;
  /** The operation's sealed input, such as a script. */
  readonly sealed: Readonly<Record<string, unknown>> | null;
  readonly signal: AbortSignal;
  /** Called right before what must not happen twice. */
  begin(): Promise<void>;
}

/** What the machine is after the action, as Parallels Desktop tells it. */
export async function effectOf(
  { context, machineId, signal }: Pick<Act, "context" | "machineId" | "signal">,
  result?: Effect["result"],
): Promise<Effect> {
  const machine = await found(context, machineId, signal);
  context.changed();
  const { state, addresses, macAddress, diskBytes, bundlePath } = machine;
  return {
    observed: state,
    // Of a guest that runs, no address told here means none known here: the inventory has further sources.
    ...(state === "running" && addresses.length === 0 ? {} : { addresses }),
    macAddress,
    diskBytes,
    ...(bundlePath === null ? {} : { bundlePath }),
    ...(result ? { result } : {}),
  };
}
