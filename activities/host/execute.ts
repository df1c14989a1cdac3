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
  const output = boundedOutput((stream, text) => reporter.output(step, stream, text));
  const run = async () => {
    await act.begin();
    await context.guard.mayChange();
    // Begins with the session: the wait for one is not the script's.
    const limit = AbortSignal.timeout(action.timeoutSeconds * 1000);
    const { onStdout, onStderr } = output;
    const user = action.user === undefined ? {} : { user: action.user };
    const within = { signal: AbortSignal.any([signal, limit]) };
    return context.prlctl.exec(machineId, { script, environment, ...user, onStdout, onStderr }, within).catch((error: unknown) => {
      if (!limit.aborted || signal.aborted) throw error;
      throw new FaultError({
        code: "outcome_unknown",
        message: `The script did not end within ${action.timeoutSeconds} s; the guest may still run it.`,
      });
    });
  };
  const wait = () => reporter.waits(step, "a guest session");
  try {
    const { exitCode } = await context.sessions.run(signal, run, wait);
    return await effectOf(act, { exitCode, outputCut: output.end() });
  } finally {
    output.end();
  }
}

/** Hands on the first bytes of both streams together, up to the limit. */
function boundedOutput(tell: (stream: "stdout" | "stderr", text: string) => void) {
  let leftBytes = outputLimitBytes;
  let cut = false;
  // A character may lie in two pieces.
  const decoders = { stdout: new StringDecoder("utf8"), stderr: new StringDecoder("utf8") };
  const told = (stream: "stdout" | "stderr", text: string) => void (text !== "" && tell(stream, text));
  const take = (stream: "stdout" | "stderr") => (bytes: Buffer) => {
    const kept = bytes.subarray(0, leftBytes);
    cut ||= kept.length < bytes.length;
    leftBytes -= kept.length;
    told(stream, decoders[stream].write(kept));
  };
  return {
    onStdout: take("stdout"),
    onStderr: take("stderr"),
    /** Tells what is left of a last character; answers whether something was left out. */
    end: (): boolean => {
      told("stdout", decoders.stdout.end());
      told("stderr", decoders.stderr.end());
      return cut;
    },
  };
}
