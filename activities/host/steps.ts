/** Runs one of several steps of an activity: reports it, and names it in the fault that it ends with. */
import { FaultError } from "../../domain/errors.ts";
import { fullDiskAsFault } from "../../images/files.ts";
import type { Reporter } from "./reporter.ts";

export async function inStep<T>(reporter: Reporter, step: string, act: () => Promise<T>): Promise<T> {
  reporter.state(step, "running");
  try {
    const value = await act();
    reporter.state(step, "done");
    return value;
  } catch (error) {
    const known = mayRepeat(fullDiskAsFault(error));
    if (!(known instanceof FaultError)) throw error;
    throw new FaultError({ ...known.fault, details: { ...known.fault.details, step } }, { cause: error });
  }
}

/**
 * Runs what may be repeated: it looks before it acts, so a command whose outcome nobody knows is simply tried again. Only what must not happen twice
 * may end as `outcome_unknown`.
 */
export const ensured = <T>(act: () => Promise<T>): Promise<T> => act().catch((error: unknown) => Promise.reject(mayRepeat(error)));

function mayRepeat(error: unknown): unknown {
  if (!(error instanceof FaultError) || error.fault.code !== "outcome_unknown") return error;
  return new FaultError({ ...error.fault, code: "prlctl_failed" }, { cause: error });
}
