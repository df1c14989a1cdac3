/**
 * Parking: a step that an operator can mend waits for one.
 *
 * The one idea: the wait is part of the workflow, so it survives every restart, shows in the web UI with its remedy, and is ended by an update
 * that the stock `temporal` command can send.
 */
import { condition, currentUpdateInfo, defineUpdate, setHandler } from "@temporalio/workflow";
import type { Fault } from "../domain/errors.ts";
import type { Decision } from "../domain/operations/rules.ts";
import { refusal } from "./faults.ts";
import type { Decided, OperationInput } from "./records.ts";
import { markParked } from "./search.ts";
import type { Shown } from "./shown.ts";

/** Nothing is asked for and nothing answered, so the stock `temporal` command, which has no key, can send them. */
export const decisions = { retry: defineUpdate<void>("retry"), skip: defineUpdate<void>("skip"), abort: defineUpdate<void>("abort") };

/** What may be said with one: the step that was seen to wait, so that a word which comes late does not meet another. */
export interface Meant {
  readonly step?: string;
}

export interface Parked {
  readonly name: string;
  readonly skippable: boolean;
  readonly fault: Fault;
  /** What mends the step without an operator. */
  readonly mended: () => boolean;
}
/** Who ended the wait: an operator, what mended the step by itself, or nobody within the park limit. */
export type Ending = Decided | { readonly id: null; readonly word: "retry" | "abort" };

/** Waits for an operator's word on a parked step, for the step to mend by itself, or for the park limit, which aborts. */
export function decider({ parkLimitMs }: OperationInput, shown: Shown): (step: Parked) => Promise<Ending> {
  let parked: Parked | null = null;
  let decided: Decided | null = null;

  for (const word of ["retry", "skip", "abort"] as const) {
    const handler = () => void (decided = { id: currentUpdateInfo()?.id ?? word, word });
    const validator = (meant?: Meant) => mustFit(word, decided ? null : parked, meant);
    setHandler(decisions[word], handler, { validator });
  }

  return async function decide(step) {
    const { name, skippable, fault, mended } = step;
    parked = step;
    decided = null;
    markParked(fault.code);
    const words = skippable ? ["retry", "skip", "abort"] : ["retry", "abort"];
    shown.waits({ step: name, fault, words, until: new Date(Date.now() + parkLimitMs) });
    try {
      await condition(() => decided !== null || mended(), parkLimitMs, { summary: `park limit: ${name}` });
      return decided ?? { id: null, word: mended() ? "retry" : "abort" };
    } finally {
      parked = null;
      markParked(null);
    }
  };
}

function mustFit(word: Decision, parked: Parked | null, meant: Meant | undefined): void {
  if (!parked) throw refusal("operation_not_parked", "No step of this operation waits for an operator.");
  const { name, skippable } = parked;
  if (meant?.step !== undefined && meant.step !== name)
    throw refusal("operation_not_parked", `The step ${meant.step} does not wait for an operator any more; ${name} does.`);
  if (word === "skip" && !skippable) throw refusal("step_not_skippable", `The step ${name} cannot be skipped.`);
}
