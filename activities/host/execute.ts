/**
 * Runs a caller's script in a guest.
 *
 * The one idea: script and environment come sealed and go to the guest by standard input; the workflow's history sees an exit code only,
 * and the output travels over the report channel, bounded.
 */
import { StringDecoder } from "node:string_decoder";
import { z } from "zod";
import { FaultError } from "../../domain/errors.ts";
import type { MachineAction } from "../../domain/machines/schema.ts";
import type { Effect } from "../../workflows/machines/operate.ts";
import { effectOf, type Act } from "./act.ts";

/** More is cut and said so: it would fill the hub's database, and nobody reads it there. */
const outputLimitBytes = 10 * 1024 ** 2;

const Sealed = z.object({ script: z.string(), environment: z.record(z.string(), z.string()).default({}) });

export async function execute(act: Act, action: Extract<MachineAction, { verb: "execute" }>): Promise<Effect> {
  const { context, machineId, step, reporter, signal } = act;
  const sealed = Sealed.safeParse(act.sealed);
  if (!sealed.success) throw new FaultError({ code: "grant_refused", message: "The hub did not hand out the script." });
  const { script, environment } = sealed.data;
  let leftBytes = outputLimitBytes;
  const send = (stream: "stdout" | "stderr") => {
    const decoder = new StringDecoder("utf8"); // A character may lie in two pieces.
    return (bytes: Buffer) => {
      if (leftBytes <= 0) return;
      leftBytes -= bytes.length;
      const text = decoder.write(bytes);
      if (text !== "") reporter.output(step, stream, text);
    };
  };
  const limit = AbortSignal.timeout(action.timeoutSeconds * 1000);
  const wait = () => reporter.waits(step, "a guest session");
  const run = () =>
    context.prlctl.exec(
      machineId,
      {
        script,
        environment,
        ...(action.user === undefined ? {} : { user: action.user }),
        onStdout: send("stdout"),
        onStderr: send("stderr"),
      },
      { signal: AbortSignal.any([signal, limit]) },
    );
  const { exitCode } = await context.sessions.run(signal, run, wait).catch((error: unknown) => {
    if (!limit.aborted || signal.aborted) throw error;
    throw new FaultError({
      code: "outcome_unknown",
      message: `The script did not end within ${action.timeoutSeconds} s; the guest may still run it.`,
    });
  });
  return effectOf(act, { exitCode, outputCut: leftBytes <= 0 });
}
