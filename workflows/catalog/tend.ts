/**
 * What a Temporal schedule starts: it asks for the care that is due, as a caller would.
 *
 * The one idea: the care itself is ordinary operations, with rows, steps and holds; so this one only asks and ends.
 */
import { workflowInfo } from "@temporalio/workflow";
import { quick } from "../proxies.ts";

export type TendedCare = "collect" | "scrub" | "retain" | "prefetch";

export interface TendActivities {
  /**
   * One operation per store, one for all rules, or that of the prefetch policy `subject`; what is busy is left to the next time. Asked twice by one run, it is
   * asked once.
   */
  askForCare(input: { care: TendedCare; run: string; subject?: string }): Promise<{ operations: string[] }>;
}

export async function tend(care: TendedCare, subject?: string): Promise<{ operations: string[] }> {
  const ask = { care, run: workflowInfo().runId };
  return quick<TendActivities>().askForCare(subject === undefined ? ask : { ...ask, subject });
}
